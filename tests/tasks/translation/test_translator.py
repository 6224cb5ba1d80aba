"""The translator: word by word and at once, padding, its description, its scores."""

from __future__ import annotations

import json

import pytest
import torch

from gatedrnn.seq2seq.search import SearchOptions, greedy, search
from gatedrnn.tasks.translation.metrics import reference_streams, score_translations
from gatedrnn.tasks.translation.model import TokenEncoder, TranslatorSpec

SIZES = {"hidden_size": 6, "embedding_size": 5}
CASES = [
    ("lstmp", "late"), ("gru", "soft"), ("gru", "late"), ("gru", "top_down"),
    ("depth_gated", "late"), ("depth_gated", "soft"), ("ran", "top_down"), ("residual", "late"),
]  # fmt: skip


def make(network="gru", attention="late", layers=2):
    torch.manual_seed(1)
    side = {"network": network, "num_layers": layers, **SIZES}
    spec = TranslatorSpec(11, 9, side, side | {"attention": {"kind": attention, "size": 4}})
    return spec.build().double().eval()


def some():
    sentences = torch.randint(1, 11, (3, 7))
    lengths = torch.tensor([7, 4, 2])
    return sentences, lengths / 7, lengths


@pytest.mark.parametrize(("network", "attention"), CASES)
def test_token_by_token_it_gives_what_it_gives_at_once(network, attention):
    translator = make(network, attention)
    sentences, relative, _ = some()
    targets = torch.cat([torch.randint(1, 9, (3, 5)), torch.zeros(3, 1, dtype=torch.long)], 1)
    inputs = torch.nn.functional.pad(targets[:, :-1], (1, 0))
    with torch.no_grad():
        whole = translator(sentences, relative, targets)
        encoded = translator.encode(sentences, relative)
        output = translator.decoder(inputs, encoded)
        assert torch.equal(output.scores, whole.scores)
        state = translator.decoder.initial_state(encoded)
        for t in range(6):
            scores, state, attention = translator.decoder.step(inputs[:, t], state, encoded)
            torch.testing.assert_close(scores, whole.scores[:, t], rtol=0, atol=1e-10)
            torch.testing.assert_close(attention, output.attention[:, t], rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", ["late", "soft"])
def test_company_and_padding_change_nothing(attention):
    translator = make("depth_gated", attention)
    sentences, relative, lengths = some()
    options = SearchOptions(beam_size=3, max_length=6, unknown=True)
    with torch.no_grad():
        encoded = translator.encode(sentences, relative)
        together = search(translator, encoded, options)
        first = greedy(translator, encoded, options)
        for i, length in enumerate(lengths.tolist()):
            own = translator.encode(sentences[i : i + 1, :length], torch.ones(1))
            torch.testing.assert_close(
                own.features[0], encoded.features[i, :length], rtol=0, atol=1e-12
            )
            alone = search(translator, own, options)[0]
            assert [h.tokens for h in alone] == [h.tokens for h in together[i]]
            assert alone[0].score == pytest.approx(together[i][0].score, abs=1e-9)
            assert greedy(translator, own, options)[0].tokens == first[i].tokens


def test_a_description_builds_it_again():
    side = {"network": "depth_gated", "num_layers": 3, **SIZES}
    spec = TranslatorSpec(11, 9, side | {"bidirectional": False}, side | {"attention": "late"})
    again = TranslatorSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec and again.build().decoder.encoder_size == 6
    assert again.build().load_state_dict(spec.build().state_dict())
    for encoder, message in (
        ({"width": 3}, "encoder: unknown key 'width'"),
        ({"hidden_size": 0}, "hidden_size must be a whole number"),
        ({"dropout": 0.1}, "unknown key 'dropout'"),
    ):
        with pytest.raises(ValueError, match=message):
            TranslatorSpec(11, 9, encoder)
    with pytest.raises(ValueError, match="cannot be built: .*variant"):
        TranslatorSpec(11, 9, {"network_options": {"variant": "5g"}}).build()
    with pytest.raises(ValueError, match="drops neither words nor locked masks"):
        TokenEncoder(5, dropout={"words": 0.5})


def test_scores_are_those_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    hypotheses = ["the cat sat on the mat today", "a dog"]
    references = [["the cat sat on a mat today", "a cat sat on the mat"], ["a dog"]]
    result = score_translations(hypotheses, references)
    streams = [["the cat sat on a mat today", "a dog"], ["a cat sat on the mat", None]]
    assert result.metrics["BLEU"] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, streams).score)
    assert result.metrics["chrF"] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, streams).score)
    assert result.metrics["exact match"] == 0.5 and "tok:13a" in result.signatures["BLEU"]
    chinese = score_translations(["我爱你们"], [["我 爱你们"]], "zh")
    assert chinese.metrics["BLEU"] == pytest.approx(100.0)
    assert "tok:zh" in chinese.signatures["BLEU"]
    assert reference_streams([["a"], ["b"]]) == [["a", "b"]]
    with pytest.raises(ValueError, match="bleu_tokenize must be one of 13a, .* not 'moses'"):
        score_translations(hypotheses, references, "moses")
    with pytest.raises(ValueError, match="2 hypotheses need references"):
        score_translations(hypotheses, [["a"], []])
