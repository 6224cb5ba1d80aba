"""Texts that share their beginnings have the log-probabilities that each has by itself."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.data.tables import Text
from gatedrnn.tasks.language_modeling import prefix_scores as prefixes
from gatedrnn.tasks.language_modeling.evaluation import EvaluationOptions, log_probabilities, score
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.prefix_scores import EOS, score_sequences, score_texts
from gatedrnn.tokens import Characters, Pieces, Words
from tests.tasks.language_modeling.tiny import doubled, lines

#: Readings as a recogniser gives them: alike at the beginning, the same ones, and none.
TEXTS = [
    "the cat sees a dog",
    "the cat sees a dog today",
    "the cat sees",
    "",
    "a dog",
    "the cat",
    "the cat sees a dog",
    "the hat sees a dog",
    "my uncle hears my uncle and sings",
]
TRAINING = lines(40, 1)
TOKENS = Words.learn(TRAINING, "<eos>")


def one_by_one(model, tokens, texts):
    """Each text by itself, as perplexities are computed."""
    values = []
    for text in texts:
        encoded = tokens.encode_text(Text("one", [text]))
        found = score(encoded, log_probabilities(model, encoded, EvaluationOptions()))
        values.append(-found.nats - found.unknown_nats)
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("network", REGISTRY)
def test_every_recurrence(network):
    model = doubled(TextModel(len(TOKENS), network, num_layers=2, hidden_size=12))
    model.train()
    found = score_texts(model, TOKENS, TEXTS)
    assert model.training
    assert (found.log_probs - one_by_one(model, TOKENS, TEXTS)).abs().max() < 1e-11
    assert found.tokens == sum(len(text.split()) + 1 for text in TEXTS)


@pytest.mark.parametrize("trees", [1, 2, 4096])
@pytest.mark.parametrize("rows", [1, 3, 256])
def test_how_much_is_read_at_once_changes_nothing(monkeypatch, trees, rows):
    monkeypatch.setattr(prefixes, "_TREE", trees)
    monkeypatch.setattr(prefixes, "ROWS", rows)
    model = doubled(TextModel(len(TOKENS), "lstmp", num_layers=2, hidden_size=12, proj_size=5))
    found = score_texts(model, TOKENS, TEXTS)
    assert (found.log_probs - one_by_one(model, TOKENS, TEXTS)).abs().max() < 1e-12


def test_what_is_shared_is_read_once():
    model = doubled(TextModel(len(TOKENS), hidden_size=12))
    sequences = [TOKENS.encode(text) for text in TEXTS]
    _, read = score_sequences(model, sequences)
    beginnings = {tuple(s[:n]) for s in sequences for n in range(len(s) + 1)}
    assert read == len(beginnings) < sum(len(s) + 1 for s in sequences) / 2


@pytest.mark.parametrize(
    "tokens",
    [Characters.learn(TRAINING, "<eos>"), Pieces.learn(TRAINING, "<eos>", 30, "bpe"), TOKENS],
    ids=lambda tokens: tokens.kind,
)
def test_any_tokens_and_what_they_do_not_know(tokens):
    model = doubled(TextModel(len(tokens), hidden_size=12))
    texts = ["the cat", "the czar", "the c\u00e9dille", "QUIZ"]
    found = score_texts(model, tokens, texts)
    assert (found.log_probs - one_by_one(model, tokens, texts)).abs().max() < 1e-11
    assert found.unknown > 0
    assert score_texts(model, tokens, ["the cat"]).unknown == 0


@pytest.mark.parametrize(
    "changes", [{"cutoffs": [4, 10]}, {"tied": True, "embedding_size": 6}], ids=["adaptive", "tied"]
)
def test_output_layers(changes):
    model = doubled(TextModel(len(TOKENS), "ran", hidden_size=64, **changes), spread=0.2)
    found = score_texts(model, TOKENS, TEXTS)
    assert (found.log_probs - one_by_one(model, TOKENS, TEXTS)).abs().max() < 1e-11


def test_single_precision():
    model = TextModel(len(TOKENS), "residual", num_layers=3, hidden_size=24)
    found = score_texts(model, TOKENS, TEXTS)
    assert (found.log_probs - one_by_one(model, TOKENS, TEXTS)).abs().max() < 1e-4


def test_all_texts_there_can_be_have_probability_one():
    model = doubled(TextModel(3, hidden_size=8))
    model.softmax.bias.data[EOS] = 3.0  # so that long ones are improbable
    sequences = [[]]
    for _ in range(9):
        sequences += [s + [t] for s in sequences for t in (1, 2) if len(s) == len(sequences[-1])]
    values, _ = score_sequences(model, sequences)
    assert len({tuple(s) for s in sequences}) == len(sequences)
    assert 0.99 < float(values.exp().sum()) < 1.0


def test_no_texts():
    model = TextModel(len(TOKENS), hidden_size=8)
    found = score_texts(model, TOKENS, [])
    assert found.log_probs.shape == (0,) and found.read == 0
    assert score_texts(model, TOKENS, [""]).tokens == 1
