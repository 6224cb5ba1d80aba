"""Perplexity with the state carried on, dynamic evaluation, words in a file, generation."""

from __future__ import annotations

import csv
import math

import pytest
import torch

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.data.tables import Text
from gatedrnn.tasks.language_modeling.data import streams
from gatedrnn.tasks.language_modeling.decode import GenerationOptions, generate
from gatedrnn.tasks.language_modeling.evaluation import (
    AdaptiveModel,
    DynamicEvaluation,
    EvaluationOptions,
    detached,
    gradient_squares,
    log_probabilities,
    score,
    write_word_scores,
)
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tokens import EOS, Characters, Words
from tests.tasks.language_modeling.tiny import doubled, lines

TEXT = Text("mine", lines(30, 1))
TOKENS = Words.learn(TEXT.lines, "<eos>")
ENCODED = TOKENS.encode_text(TEXT)


def one_pass(model, ids):
    """Log-probabilities of a stream, read at once."""
    inputs = torch.cat([torch.tensor([EOS]), ids[:-1].long()]).unsqueeze(0)
    with torch.no_grad():
        scores, _ = model(inputs)
    return scores[0].log_softmax(-1).gather(1, ids.long().unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize("network", REGISTRY)
def test_windows_with_carried_state_are_one_pass(network):
    model = doubled(TextModel(len(TOKENS), network, hidden_size=16))
    whole = one_pass(model, ENCODED.ids)
    for size in (1, 7, 64):
        found = log_probabilities(model, ENCODED, EvaluationOptions(window=size))
        assert (found - whole).abs().max() < 1e-12, size
    nats = score(ENCODED, found).nats
    assert nats == pytest.approx(-float(whole.sum()), abs=1e-6)
    # The state does matter: each line by itself is something else.
    alone = log_probabilities(model, ENCODED, EvaluationOptions(carried=False, window=5, rows=4))
    assert (alone - whole).abs().max() > 1e-3
    for i in range(len(TEXT.lines)):
        start, stop = ENCODED.offsets[i : i + 2].tolist()
        line = one_pass(model, ENCODED.ids[start:stop])
        assert (alone[start:stop] - line).abs().max() < 1e-12


def test_streams_are_stretches_of_the_text_and_nothing_is_lost():
    model = doubled(TextModel(len(TOKENS), hidden_size=16))
    found = log_probabilities(model, ENCODED, EvaluationOptions(streams=4, window=9))
    count = len(ENCODED.ids)
    for i in range(4):
        start, stop = count * i // 4, count * (i + 1) // 4
        before = (
            ENCODED.ids[start - 1 : stop]
            if i
            else torch.cat([torch.tensor([EOS]), ENCODED.ids[:stop]])
        )
        with torch.no_grad():
            scores, _ = model(before[:-1].long().unsqueeze(0))
        expected = scores[0].log_softmax(-1).gather(1, before[1:].long().unsqueeze(1)).squeeze(1)
        assert (found[start:stop] - expected).abs().max() < 1e-12
    assert bool((found < 0).all())


@pytest.mark.parametrize(
    "reading", [EvaluationOptions(streams=5, window=8), EvaluationOptions(False, rows=4)]
)
def test_shares_of_the_processes_add_up(reading):
    model = doubled(TextModel(len(TOKENS), hidden_size=16))
    whole = log_probabilities(model, ENCODED, reading)
    parts = [log_probabilities(model, ENCODED, reading, share=(r, 3)) for r in range(3)]
    assert all(0 < int((part != 0).sum()) < len(whole) for part in parts)
    assert (sum(parts) - whole).abs().max() < 1e-12
    learner = AdaptiveModel(model, DynamicEvaluation(0.1))
    with pytest.raises(
        ValueError, match="dynamic evaluation needs the whole text in order: use one process"
    ):
        log_probabilities(model, ENCODED, reading, learner, share=(0, 3))


def test_a_text_without_line_ends_and_a_text_of_one_token():
    tokens = Characters.learn(["ab"], "<eos>")
    model = doubled(TextModel(len(tokens), hidden_size=16))
    encoded = tokens.encode_text(Text("mine", [" ab ab"], ends=False))
    found = score(encoded, log_probabilities(model, encoded, EvaluationOptions()))
    assert (found.tokens, found.characters, found.words) == (6, 6, 2)
    encoded = tokens.encode_text(Text("mine", ["a"], ends=False))
    assert len(log_probabilities(model, encoded, EvaluationOptions(streams=10))) == 1
    with pytest.raises(ValueError, match="a text of 1 tokens cannot be read as 2 streams"):
        streams(encoded.ids, 2)


# ---- dynamic evaluation ---------------------------------------------------------------------


REPETITIVE = TOKENS.encode_text(Text("again", ["the cat likes my uncle"] * 60))


def weights_of(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def test_dynamic_evaluation_learns_what_repeats():
    model = doubled(TextModel(len(TOKENS), "ran", hidden_size=16), spread=0.3)
    before = weights_of(model)
    static = log_probabilities(model, REPETITIVE, EvaluationOptions())
    learnt = log_probabilities(
        model,
        REPETITIVE,
        EvaluationOptions(),
        AdaptiveModel(model, DynamicEvaluation(lr=2.0, window=6)),
    )
    # What is predicted before anything has been learnt is the same.
    assert torch.allclose(learnt[:6], static[:6])
    assert score(REPETITIVE, learnt).perplexity < 0.6 * score(REPETITIVE, static).perplexity
    assert float(learnt[-60:].mean()) > float(learnt[:60].mean()) + 0.2
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]), name


def test_dynamic_evaluation_without_a_step_is_static():
    model = doubled(TextModel(len(TOKENS), hidden_size=16))
    static = log_probabilities(model, ENCODED, EvaluationOptions())
    same = log_probabilities(
        model, ENCODED, EvaluationOptions(), AdaptiveModel(model, DynamicEvaluation(lr=0.0))
    )
    assert torch.allclose(same, static)


def test_gradients_relative_to_those_in_training():
    model = doubled(TextModel(len(TOKENS), hidden_size=16), spread=0.1)
    squares = gradient_squares(model, streams(ENCODED.ids, 3, equal=True).windows(6))
    assert squares.keys() == dict(model.named_parameters()).keys()
    assert all(bool((square >= 0).all()) for square in squares.values())
    options = DynamicEvaluation(lr=0.005, decay=0.001, window=6, rms=True)
    static = log_probabilities(model, REPETITIVE, EvaluationOptions())
    learnt = log_probabilities(
        model, REPETITIVE, EvaluationOptions(), AdaptiveModel(model, options, squares)
    )
    assert score(REPETITIVE, learnt).perplexity < score(REPETITIVE, static).perplexity
    with pytest.raises(ValueError, match="needs the gradients of a training text"):
        AdaptiveModel(model, options)
    with pytest.raises(ValueError, match="no training text for the mean squares of gradients"):
        gradient_squares(model, [])
    with pytest.raises(ValueError, match="decay in \\[0, 1\\]"):
        DynamicEvaluation(lr=0.1, decay=2.0)


# ---- words ----------------------------------------------------------------------------------


def test_words_of_a_file_sum_up_to_the_text(tmp_path):
    text = Text("mine", ["the cat barks", "", "my uncle"])
    for tokens in (TOKENS, Characters.learn(TEXT.lines, "<eos>")):
        encoded = tokens.encode_text(text)
        model = doubled(TextModel(len(tokens), hidden_size=16))
        values = log_probabilities(model, encoded, EvaluationOptions())
        write_word_scores(tmp_path / "words.tsv", encoded, tokens, values)
        with open(tmp_path / "words.tsv", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        said = [(int(r["line"]), r["word"]) for r in rows]
        assert said == [
            (1, "the"), (1, "cat"), (1, "barks"), (1, "<eos>"), (2, "<eos>"),
            (3, "my"), (3, "uncle"), (3, "<eos>"),
        ]  # fmt: skip
        total = math.fsum(float(r["log_prob"]) for r in rows)
        assert total == pytest.approx(float(values.sum()), abs=1e-5)
        assert sum(int(r["tokens"]) for r in rows) == len(encoded.ids)
        assert [r["known"] for r in rows] == ["1", "1", "0"] + ["1"] * 5


# ---- generation -----------------------------------------------------------------------------


def test_generation_goes_on_from_the_prompt():
    model = doubled(TextModel(len(TOKENS), hidden_size=16))
    texts = generate(model, TOKENS, GenerationOptions(count=3, length=20, seed=4), "the  cat")
    assert len(texts) == 3
    assert all(text.startswith("the cat") for text in texts)
    assert all("\n" not in text and "<unk>" not in text for text in texts)
    assert texts == generate(
        model, TOKENS, GenerationOptions(count=3, length=20, seed=4), "the cat"
    )
    assert texts != generate(
        model, TOKENS, GenerationOptions(count=3, length=20, seed=5), "the cat"
    )
    several = generate(model, TOKENS, GenerationOptions(length=200, lines=3), "my uncle\nthe")
    assert several[0].startswith("my uncle\nthe")
    assert several[0].count("\n") <= 3
    assert generate(model, TOKENS, GenerationOptions(length=0), "a dog") == ["a dog"]


def test_without_temperature_the_most_probable_is_taken():
    model = doubled(TextModel(len(TOKENS), hidden_size=16))
    (text,) = generate(model, TOKENS, GenerationOptions(length=6, lines=0, temperature=0.0))
    ids = torch.tensor([EOS])
    for _ in range(6):
        with torch.no_grad():
            scores = model(ids.unsqueeze(0))[0][0, -1]
        scores[TOKENS.unk] = -math.inf
        ids = torch.cat([ids, scores.argmax().view(1)])
    assert text == TOKENS.decode(ids[1:].tolist()).rstrip("\n")
    # Only one to choose from is the same; so is a part of the probability that one word has.
    for options in (
        GenerationOptions(length=6, lines=0, top_k=1),
        GenerationOptions(length=6, lines=0, top_p=1e-6),
    ):
        assert generate(model, TOKENS, options) == [text]
    with pytest.raises(ValueError, match="top_p above 0"):
        GenerationOptions(top_p=0.0)


def test_windows_of_streams_side_by_side():
    rows = streams(torch.tensor([5, 6, 7, 8, 9]), 2)
    windows = [(w.inputs.tolist(), w.targets.tolist(), w.first) for w in rows.windows(2)]
    assert windows == [
        ([[0, 5], [6, 7]], [[5, 6], [7, 8]], True),
        ([[6], [8]], [[-100], [9]], False),
    ]


def test_words_and_characters_of_a_text():
    text = Text("dev", ["YEAH", "SO DO I"])
    assert (text.words, text.characters) == (6, 13)


def test_a_state_is_detached():
    pair = (torch.ones(1, requires_grad=True), torch.ones(1))
    assert [state.requires_grad for state in detached(pair)] == [False, False]
