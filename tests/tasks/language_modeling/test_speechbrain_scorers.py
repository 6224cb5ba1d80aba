"""SpeechBrain's own scorer and rescorer with language models read from our bundles."""

from __future__ import annotations

import pytest
import torch
from speechbrain.decoders import S2SRNNBeamSearcher
from speechbrain.decoders.scorer import RescorerBuilder, RNNLMScorer, ScorerBuilder
from speechbrain.decoders.scorer import RNNLMRescorer as StockRescorer

from gatedrnn.tasks.asr.heads.attention import AttentionModel, _parts
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.language_modeling.apply import RNNLMRescorer, SearchModel
from gatedrnn.tasks.language_modeling.bundle import (
    LanguageModelConfig,
    TextModelSpec,
    read_language_model,
    write_language_model,
)
from gatedrnn.tasks.language_modeling.prefix_scores import score_sequences, score_texts
from gatedrnn.tokens import Characters, Pieces, Words

TEXT = ["GO ON", "NO GO", "ON AND ON"]
KINDS = {
    "words": Words.learn(TEXT, "<eos>"),
    "characters": Characters.learn(TEXT, "<eos>"),
    "pieces": Pieces.learn(TEXT, "<eos>", 9, "bpe"),
}
READINGS = [["GO ON", "NO ON AND GO", ""], ["ON"]]


def bundled(folder, tokens, network="lstmp", **options):
    """A language model with random weights, written to a bundle and read from it."""
    torch.manual_seed(0)
    spec = TextModelSpec(
        len(tokens), {"network": network, "num_layers": 2, "hidden_size": 8, **options}
    )
    model = spec.build()
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-0.6, 0.6)
    write_language_model(folder / "lm", LanguageModelConfig(spec), tokens, model)
    return read_language_model(folder / "lm")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ["lstmp", "ran", "highway"])
def test_the_stock_rescorer(tmp_path, kind, network):
    """SpeechBrain's own class, on text that the model was trained for."""
    found = bundled(tmp_path, KINDS[kind], network)
    stock = StockRescorer(
        found.model, found.tokens, device="cpu", bos_index=0, eos_index=0, pad_index=0
    )
    texts = sum(READINGS, [])
    wanted = score_texts(found.model, found.tokens, texts).log_probs
    assert stock.rescore_hyps(READINGS).tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
    assert RNNLMRescorer(found).rescore_hyps(READINGS).tolist() == pytest.approx(
        wanted.tolist(), abs=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_other_cases_and_unknown_words(tmp_path, kind):
    """What SpeechBrain's own does otherwise: capitals, and no charge for what has no token."""
    tokens = {
        "words": Words.learn(["go on"], "<eos>"),
        "characters": Characters.learn(["go on"], "<eos>"),
        "pieces": Pieces.learn(["go on", "on"], "<eos>", 7, "bpe"),
    }[kind]
    found = bundled(tmp_path, tokens)
    texts = ["go  quiz", "go on"]
    wanted = score_texts(found.model, tokens, [" ".join(text.split()) for text in texts])
    assert wanted.unknown > 0
    values = RNNLMRescorer(found).rescore_hyps([texts]).tolist()
    assert values == pytest.approx(wanted.log_probs.tolist(), abs=1e-4)
    stock = StockRescorer(found.model, tokens, device="cpu", bos_index=0, eos_index=0, pad_index=0)
    assert stock.rescore_hyps([texts]).tolist() != pytest.approx(values, abs=1e-1)


def test_the_builder_sorts_by_it(tmp_path):
    found = bundled(tmp_path, KINDS["words"])
    builder = RescorerBuilder(rescorers=[RNNLMRescorer(found)], weights={"rnnlm": 0.7})
    builder.move_rescorers_to_device()
    heard = [[-1.0, -1.2, -9.0], [-2.0]]
    texts, scores = builder.rescore(READINGS, [list(row) for row in heard])
    for hyps, row, given, values in zip(READINGS, heard, texts, scores, strict=True):
        linguistic = score_texts(found.model, found.tokens, hyps).log_probs.tolist()
        wanted = sorted(
            ((s + 0.7 * v, t) for s, v, t in zip(row, linguistic, hyps, strict=True)),
            reverse=True,
        )
        assert given == [text for _, text in wanted]
        assert values == pytest.approx([value for value, _ in wanted], abs=1e-4)


@pytest.mark.parametrize("kind", ["characters", "pieces"])
@pytest.mark.parametrize("network", ["lstmp", "ran"])
def test_beam_search_with_the_scorer(tmp_path, kind, network):
    """SpeechBrain's search adds what our model says of the text, weighted."""
    text = KINDS[kind]
    tokens = Characters.learn(TEXT) if kind == "characters" else Pieces(text.model)
    found = bundled(tmp_path, text, network)
    torch.manual_seed(1)
    acoustic = CTCModel(len(tokens), input_size=4, num_layers=1, hidden_size=8, proj_size=4)
    model = AttentionModel(acoustic, len(tokens), hidden_size=8, attention_size=5, ctc_weight=0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.uniform_(-1.0, 1.0)
        model.output.bias[[0, model.start, model.end]] = torch.tensor([-30.0, -30.0, 4.0])
    model.eval()
    weight = 0.6
    scorer = RNNLMScorer(SearchModel(found, tokens).eval())
    search = S2SRNNBeamSearcher(
        **_parts(model), beam_size=5, topk=5, return_topk=True, length_normalization=False,
        using_eos_threshold=False,
        scorer=ScorerBuilder(full_scorers=[scorer], weights={"rnnlm": weight}),
    )  # fmt: skip
    encoded, counts = torch.randn(2, 6, acoustic.encoder.output_size), torch.tensor([6, 6])
    with torch.no_grad():
        rows, _, scores, _ = search(encoded, counts / 6)
    ended = 0
    for i, j in [(i, j) for i in range(2) for j in range(5)]:
        row = rows[i, j].tolist()
        ends = model.end in row
        # What has no end was cut off at the last frame.
        said = row[: row.index(model.end)] if ends else row
        ids = torch.tensor([said], dtype=torch.long)
        with torch.no_grad():
            logits = model.score(encoded[i : i + 1], counts[i : i + 1], ids)[0].log_softmax(-1)
            texts = found.model(torch.tensor([[0, *said]]))[0][0].log_softmax(-1)
        heard = sum(float(logits[k, t]) for k, t in enumerate(said))
        linguistic = sum(float(texts[k, t]) for k, t in enumerate(said))
        if ends:
            heard += float(logits[len(said), model.end])
            linguistic += float(texts[len(said), 0])
            whole, _ = score_sequences(found.model, [said])
            assert linguistic == pytest.approx(float(whole[0]), abs=1e-4)
        assert float(scores[i, j]) == pytest.approx(heard + weight * linguistic, abs=1e-3)
        ended += ends
    assert ended


def test_tokens_must_be_the_same(tmp_path):
    found = bundled(tmp_path, KINDS["words"])
    with pytest.raises(ValueError, match="the language model's words are not the recogniser's"):
        SearchModel(found, Characters.learn(TEXT))
