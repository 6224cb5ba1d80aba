"""Shallow fusion finds what trying every reading finds, whatever the tokens of both models."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from gatedrnn.tasks.asr.decode import (
    PrefixBeam,
    Scores,
    SearchOptions,
    incremental_search,
    prefix_beam_search,
    search,
)
from gatedrnn.tasks.asr.heads.attention import AttentionModel
from gatedrnn.tasks.asr.language_model import Fusion
from gatedrnn.tasks.asr.model import CTCModel
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.prefix_scores import score_texts
from gatedrnn.tasks.language_modeling.rescoring import LMWeights
from gatedrnn.tokens import Characters, Pieces, Words
from gatedrnn.tokens.hypotheses import distinct, log_add, n_best_record
from tests.tasks.language_modeling.tiny import doubled, lines

TEXT = ["AB B A", "B AB", "A A B", "BA AB"]
#: The recogniser's: letters, pieces (three letters, the mark, and pieces of two), whole words.
RECOGNISERS = {
    "characters": Characters(["<blank>", " ", "A", "B"]),
    "pieces": Pieces.learn([*TEXT, "ABBA BAAB"], "<blank>", 6, "bpe"),
    "words": Words.learn(["A AB C"]),
}
MODELS = {
    "characters": Characters.learn(TEXT, "<eos>"),
    "pieces": Pieces.learn(TEXT, "<eos>", 6, "bpe"),
    # It does not know BA, nor C, nor their like.
    "words": Words.learn(["AB B A", "B AB"], "<eos>"),
}
SETTINGS = [LMWeights(0.7, 1.5), LMWeights(1.3, -0.4), LMWeights(0.0, 2.0)]
WIDE = SearchOptions(5000, min_log_prob=-1e9)


def language_model(tokens, network="lstmp"):
    return doubled(TextModel(len(tokens), network, num_layers=2, hidden_size=6))


def posteriors(tokens, frames=4, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = batch, frames, len(tokens)
    return torch.randn(shape, generator=generator, dtype=torch.float64).mul(1.5).log_softmax(-1)


def alignments(log_probs):
    """Tokens -> log-probability, from every path that there is."""
    found = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        tokens = tuple(t for t, _ in itertools.groupby(path) if t)
        score = sum(float(row[t]) for row, t in zip(log_probs, path, strict=True))
        found[tokens] = log_add(found.get(tokens, -math.inf), score)
    return found


def exhaustive(log_probs, tokens, model, model_tokens, setting, prior=None):
    """Every reading's score, by its definition."""
    heard = alignments(log_probs)
    texts = [tokens.decode(reading) for reading in heard]
    linguistic = score_texts(model, model_tokens, texts).log_probs.tolist()
    found = {}
    for (reading, score), text, value in zip(heard.items(), texts, linguistic, strict=True):
        internal = sum(float(prior[t]) for t in reading) if prior is not None else 0.0
        found[reading] = (
            score
            + setting.weight * value
            + setting.insertion * len(text.split())
            - setting.internal * internal
        )
    return found


def same(hypotheses, wanted):
    """The same readings, in the order of the same scores."""
    assert {h.tokens for h in hypotheses} == wanted.keys()
    for h in hypotheses:
        assert h.score == pytest.approx(wanted[h.tokens], abs=1e-9)
    scores = [h.score for h in hypotheses]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("model_kind", MODELS)
@pytest.mark.parametrize("kind", RECOGNISERS)
def test_it_is_what_trying_every_reading_finds(kind, model_kind, setting):
    tokens, model_tokens = RECOGNISERS[kind], MODELS[model_kind]
    model = language_model(model_tokens)
    fusion = Fusion(model, model_tokens, tokens, setting)
    frames = 5 if len(tokens) < 5 else 4
    log_probs = posteriors(tokens, frames)
    counts = torch.tensor([frames, frames - 1])
    found = prefix_beam_search(log_probs, counts, WIDE, fusion)
    for scores, count, hypotheses in zip(log_probs, counts.tolist(), found, strict=True):
        wanted = exhaustive(scores[:count], tokens, model, model_tokens, setting)
        same(hypotheses, wanted)
        heard = alignments(scores[:count])
        for h in hypotheses:
            assert h.parts["am"] == pytest.approx(heard[h.tokens], abs=1e-9)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_words_have_the_same_pieces_alone(kind):
    """What scoring word by word stands on."""
    texts = lines(40, 1)
    tokens = Pieces.learn(texts, "<eos>", 24, kind)
    for text in [*texts, "my dog \u00e4\u00f6 \u00fc sees", "x\u00e4 \u00e4x", "THE cat"]:
        alone = [tokens.encode(word) for word in text.split()]
        assert tokens.encode(text) == sum(alone, [])
        assert tokens.unknown(text) == [p for word in text.split() for p in tokens.unknown(word)]


@pytest.mark.parametrize("network", ["ran", "slim", "highway"])
def test_states_of_any_recurrence(network):
    tokens, model_tokens = RECOGNISERS["characters"], MODELS["words"]
    model, setting = language_model(model_tokens, network), LMWeights(0.9, 0.5)
    log_probs = posteriors(tokens, 5, 1)
    fusion = Fusion(model, model_tokens, tokens, setting)
    (found,) = prefix_beam_search(log_probs, torch.tensor([5]), WIDE, fusion)
    same(found, exhaustive(log_probs[0], tokens, model, model_tokens, setting))


class Silent(torch.nn.Module):
    """A language model that must not be asked."""

    def forward(self, tokens, hx=None):
        raise AssertionError("the language model was asked")


def test_without_weight_it_is_the_plain_search():
    tokens = RECOGNISERS["characters"]
    fusion = Fusion(Silent(), MODELS["words"], tokens, LMWeights())
    log_probs, counts = posteriors(tokens, 30, 3), torch.tensor([30, 0, 17])
    fused = prefix_beam_search(log_probs, counts, SearchOptions(6), fusion)
    plain = prefix_beam_search(log_probs, counts, SearchOptions(6))
    assert [[(h.tokens, h.score) for h in found] for found in fused] == [
        [(h.tokens, h.score) for h in found] for found in plain
    ]


@pytest.mark.parametrize("model_kind", MODELS)
def test_company_and_pieces_of_a_stream_change_nothing(model_kind):
    """All utterances at once, one by one, and frame by frame; in narrow beams, too."""
    tokens, model_tokens = RECOGNISERS["characters"], MODELS[model_kind]
    fusion = Fusion(language_model(model_tokens), model_tokens, tokens, LMWeights(0.8, 0.7))
    log_probs, counts = posteriors(tokens, 40, 3), torch.tensor([40, 23, 0])
    together = prefix_beam_search(log_probs, counts, SearchOptions(5), fusion)
    for scores, count, wanted in zip(log_probs, counts.tolist(), together, strict=True):
        beam = PrefixBeam(SearchOptions(5), fusion)
        for frame in scores[:count].split(1):
            beam.advance(frame)
            # Asking in between changes nothing.
            assert beam.best in {h.tokens for h in beam.hypotheses()}
        found = beam.hypotheses()
        assert [h.tokens for h in found] == [h.tokens for h in wanted]
        assert [h.score for h in found] == pytest.approx([h.score for h in wanted], abs=1e-9)


def test_what_is_left_unasked_would_not_have_been_kept(monkeypatch):
    tokens, model_tokens = RECOGNISERS["characters"], MODELS["words"]
    fusion = Fusion(language_model(model_tokens), model_tokens, tokens, LMWeights(0.8, 0.7))
    log_probs, counts = posteriors(tokens, 40, 2), torch.tensor([40, 40])
    wanted = prefix_beam_search(log_probs, counts, SearchOptions(4), fusion)

    def ask_all(beam, grown):
        for reading, ends in grown.ends.items():
            prefix = beam._prefixes.get(reading)
            if prefix is None:
                prefix = fusion.grow(beam._prefixes[reading[:-1]], reading[-1])
            grown.prefixes[reading] = log_add(*ends), prefix
            grown.due.append(prefix)

    asked = []
    settle = fusion.settle
    monkeypatch.setattr(fusion, "settle", lambda ps: (asked.append(len(ps)), settle(ps)))
    assert prefix_beam_search(log_probs, counts, SearchOptions(4), fusion) == wanted
    few = sum(asked)
    monkeypatch.setattr(PrefixBeam, "_add_fusion", ask_all)
    asked.clear()
    assert prefix_beam_search(log_probs, counts, SearchOptions(4), fusion) == wanted
    assert few < sum(asked)


def test_one_batch_a_frame():
    """Words of all readings of all utterances are read together."""
    tokens, model_tokens = RECOGNISERS["characters"], MODELS["words"]
    model = language_model(model_tokens)
    rows = []
    model.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    fusion = Fusion(model, model_tokens, tokens, LMWeights(0.5))
    prefix_beam_search(posteriors(tokens, 12, 4), torch.full((4,), 12), SearchOptions(8), fusion)
    # The first token, at most once a frame, and at the end the last words and the ends.
    assert len(rows) <= 1 + 12 + 1 and rows[0] == 1 and max(rows) > 8


def test_the_language_model_decides_what_is_kept():
    """A beam too narrow for what rescoring would need."""
    tokens = RECOGNISERS["characters"]
    words = Words.learn(["AB"] * 3, "<eos>")
    model = doubled(TextModel(len(words), hidden_size=4))
    with torch.no_grad():
        model.softmax.bias.copy_(torch.tensor([4.0, -4.0, 4.0]))
    rows = [["A"], ["A", "B"], [" "], ["A"], ["B", "A"], [" "]] * 3
    log_probs = torch.full((1, len(rows), 4), 0.01)
    for t, spelled in enumerate(rows):
        for name, share in zip(spelled, (0.5, 0.47), strict=False):
            log_probs[0, t, tokens.names.index(name)] = share
    log_probs = log_probs.log().log_softmax(-1)
    counts = torch.tensor([len(rows)])
    fusion = Fusion(model, words, tokens, LMWeights(2.0, 0.0))
    best = prefix_beam_search(log_probs, counts, SearchOptions(4), fusion)[0][0]
    assert tokens.decode(best.tokens) == "AB AB AB AB AB AB"
    plain = prefix_beam_search(log_probs, counts, SearchOptions(4))[0]
    assert "AB AB AB AB AB AB" not in [tokens.decode(h.tokens) for h in plain]


def test_a_label_prior_is_subtracted():
    tokens, model_tokens = RECOGNISERS["characters"], MODELS["characters"]
    model, setting = language_model(model_tokens), LMWeights(0.6, 0.5, 0.3)
    prior = torch.tensor([0.0, 0.2, 0.5, 0.3], dtype=torch.float64).log()
    fusion = Fusion(model, model_tokens, tokens, setting, prior)
    log_probs = posteriors(tokens, 5, 1)
    (found,) = prefix_beam_search(log_probs, torch.tensor([5]), WIDE, fusion)
    same(found, exhaustive(log_probs[0], tokens, model, model_tokens, setting, prior))
    with pytest.raises(ValueError, match="label_prior"):
        Fusion(model, model_tokens, tokens, setting)
    with pytest.raises(ValueError, match=r"label_prior must be \(4,\)"):
        Fusion(model, model_tokens, tokens, setting, prior[:3])


def test_readings_of_the_same_text_are_added_up():
    tokens, model_tokens = RECOGNISERS["characters"], MODELS["words"]
    model, setting = language_model(model_tokens), LMWeights(0.7, 0.3)
    fusion = Fusion(model, model_tokens, tokens, setting)
    log_probs = posteriors(tokens, 5, 1)
    (found,) = prefix_beam_search(log_probs, torch.tensor([5]), WIDE, fusion)
    merged = distinct(found, tokens)
    texts = [tokens.decode(h.tokens) for h in merged]
    assert len(set(texts)) == len(texts) < len(found)
    linguistic = score_texts(model, model_tokens, texts).log_probs.tolist()
    for h, text, value in zip(merged, texts, linguistic, strict=True):
        assert h.parts["lm"] == pytest.approx(value, abs=1e-9)
        wanted = h.parts["am"] + 0.7 * value + 0.3 * len(text.split())
        assert h.score == pytest.approx(wanted, abs=1e-9)
    record = n_best_record("u", "A", merged, (), tokens)["hyps"][0]
    assert record.keys() == {"text", "score", "tokens", "am", "lm"}


def test_search_by_head():
    tokens, model_tokens = Characters.learn(["AB B A"]), MODELS["words"]
    fusion = Fusion(language_model(model_tokens), model_tokens, tokens, LMWeights(0.5))
    model = CTCModel(len(tokens), input_size=4, num_layers=1, hidden_size=8, proj_size=4)
    scores = Scores(posteriors(tokens, 9), torch.tensor([9, 6]))
    found = search(model, scores, SearchOptions(4), fusion)
    stream = incremental_search(model, SearchOptions(4), fusion)
    for frame in scores.log_probs[0].split(2):
        stream.advance(frame, frame)
    assert [h.tokens for h in stream.hypotheses()] == [h.tokens for h in found[0]]
    assert stream.best
    for refused in (search, incremental_search):
        arguments = (model, scores) if refused is search else (model,)
        with pytest.raises(ValueError, match="beam_size of at least 2"):
            refused(*arguments, SearchOptions(1), fusion)
    other = AttentionModel(model, len(tokens), hidden_size=8, attention_size=8)
    with pytest.raises(ValueError, match="head ctc.*rescor"):
        search(other, scores, SearchOptions(4), fusion)
    with pytest.raises(ValueError, match="head ctc.*rescor"):
        incremental_search(other, SearchOptions(4), fusion)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        (LMWeights(-0.1), "weight must be a number from 0"),
        (LMWeights(float("nan")), "weight must be a number from 0"),
        (LMWeights(0.1, float("inf")), "insertion"),
    ],
)
def test_settings_that_are_refused(setting, wanted):
    model = language_model(MODELS["words"])
    with pytest.raises(ValueError, match=wanted):
        Fusion(model, MODELS["words"], RECOGNISERS["characters"], setting)


def test_a_model_of_another_case_is_refused():
    tokens = Words.learn(["ab b a"], "<eos>")
    with pytest.raises(ValueError, match="knows no letter.*'A'.*another case"):
        Fusion(language_model(tokens), tokens, RECOGNISERS["characters"], LMWeights(0.5))
