"""The classifier: sizes of the papers, padding, pooling, words."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.classification.data import SequenceDataset
from gatedrnn.tasks.classification.model import POOLINGS, SequenceClassifier, WordEmbedding
from gatedrnn.tasks.classification.train import make_model

#: Of cells.md: 28 -> 100 -> 10.
SLIM = {
    "base": 52_610, "1": 44_210, "2": 43_910, "3": 14_210, "4": 14_210, "4a": 14_010, "5": 14_510,
    "5a": 14_110, "6": 13_910, "10": 4_310, "11": 4_610, "C6": 4_010,
}  # fmt: skip


@pytest.mark.parametrize("variant", SLIM)
def test_slim_networks_have_the_papers_parameters(variant):
    with torch.device("meta"):
        model = SequenceClassifier(10, 28, "slim", network_options={"variant": variant})
    assert parameters(model) == SLIM[variant]


def test_a_budget_leaves_the_embedding_out():
    def make(classes, inputs, hidden_size=1):
        return SequenceClassifier(classes, inputs, "g2", hidden_size=hidden_size)

    embedding = WordEmbedding(1000, size=28)
    model = make_model({"model": make, "parameter_budget": 52_610}, 10, embedding)
    rest = parameters(model) - parameters(embedding)
    assert model.embedding is embedding
    assert rest == 52_610
    assert model.rnn.hidden_size == 100


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_scores_do_not_depend_on_the_company(pooling, bidirectional):
    torch.manual_seed(0)
    model = SequenceClassifier(
        3, 4, "lstmp", num_layers=2, hidden_size=5, bidirectional=bidirectional, pooling=pooling
    )
    model.double().eval()
    sizes = [7, 3, 1, 6]
    alone = [torch.randn(1, size, 4, dtype=torch.float64) for size in sizes]
    padded = torch.full((4, 7, 4), 5.0, dtype=torch.float64)
    for row, one in zip(padded, alone, strict=True):
        row[: one.shape[1]] = one[0]
    together = model(padded, torch.tensor(sizes) / 7).scores
    for scores, one in zip(together, alone, strict=True):
        assert torch.allclose(scores, model(one).scores[0], atol=1e-12)


def test_pooling_takes_what_it_says():
    torch.manual_seed(0)
    x = torch.randn(1, 5, 4)
    model = SequenceClassifier(3, 4, "ran", hidden_size=5, bidirectional=True).eval()
    output, _ = model.rnn(x)
    last = torch.cat([output[:, -1, :5], output[:, 0, 5:]], dim=1)
    for pooling, pooled in (("last", last), ("mean", output.mean(1)), ("max", output.amax(1))):
        model.pooling = pooling
        assert torch.allclose(model(x).scores, model.linear(pooled), atol=1e-6)
    with pytest.raises(ValueError, match="pooling must be one of last, mean, max, not 'sum'"):
        SequenceClassifier(3, 4, pooling="sum")
    with pytest.raises(ValueError, match="words are dropped by the embedding"):
        SequenceClassifier(3, 4, dropout={"words": 0.1})
    with pytest.raises(ValueError, match="there is no recurrence 'rann'"):
        SequenceClassifier(3, 4, "rann")


def test_words_are_dropped_in_training_only():
    torch.manual_seed(0)
    embedding = WordEmbedding(6, size=3, word_dropout=0.5)
    tokens = torch.full((40, 50), 4)
    unknown = (embedding(tokens) == embedding.table.weight[1]).all(dim=2)
    assert 0.4 < float(unknown.float().mean()) < 0.6
    known = embedding.eval()(tokens)
    assert torch.equal(known, embedding.table.weight[4].expand_as(known))
    with pytest.raises(ValueError, match=r"word_dropout must be in \[0, 1\), not 1"):
        WordEmbedding(6, word_dropout=1.0)
    with pytest.raises(ValueError, match="have 2 numbers, but the embedding's size is 3"):
        embedding.fill(["good"], {"good": np.zeros(2)})


def test_batches_are_scaled_and_padded():
    frames = SequenceDataset("a", torch.tensor([[[0], [255]], [[51], [102]]]), torch.tensor([1, 0]))
    batch = frames.__getitems__([1])
    assert batch.inputs.flatten().tolist() == pytest.approx([0.2, 0.4])
    assert (batch.inputs.shape, batch.lengths) == ((1, 2, 1), None)
    names = SequenceDataset("a", torch.zeros(11, 1, 1), torch.zeros(11, dtype=torch.long)).names
    assert names == sorted(names)
    tokens = SequenceDataset(
        "a", [torch.tensor([3]), torch.tensor([4, 5, 6])], torch.tensor([0, 1])
    )
    batch = tokens.__getitems__([0, 1])
    assert batch.inputs.tolist() == [[3, 0, 0], [4, 5, 6]]
    assert batch.lengths.tolist() == pytest.approx([1 / 3, 1.0])
    assert tokens.sizes == [1, 3]


def test_sequences_of_a_batch_are_padded():
    tokens = [torch.tensor([5, 6, 7]), torch.tensor([8])]
    batch = SequenceDataset("dev", tokens, torch.tensor([0, 1])).__getitems__([1, 0])
    assert batch.id == ("dev-1", "dev-0")
    assert batch.inputs.tolist() == [[8, 0, 0], [5, 6, 7]] and batch.labels.tolist() == [1, 0]
    frames = SequenceDataset("dev", torch.full((1, 2, 1), 255), torch.tensor([0]))
    assert frames.sizes == [2]


def test_a_budget_of_frames_sets_the_hidden_size():
    make = partial(SequenceClassifier, network="slim")
    model = make_model({"model": make, "parameter_budget": 52_610}, 10, 28)
    assert model.rnn.hidden_size == 100
