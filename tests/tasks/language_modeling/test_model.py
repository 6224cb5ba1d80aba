"""The language model: any recurrence, its output layers, and SpeechBrain's decoders around it."""

from __future__ import annotations

import pytest
import torch
from speechbrain.decoders.scorer import RNNLMRescorer, RNNLMScorer

from gatedrnn.cells.registry import REGISTRY
from gatedrnn.modules.network_options import parameters, size_for
from gatedrnn.modules.softmax import AdaptiveSoftmax
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tokens import Words
from tests.tasks.language_modeling.tiny import doubled, lines

VOCABULARY = 23
TARGETS = torch.tensor([[3, 0, 22, -100], [1, 7, 7, 5]])


@pytest.mark.parametrize("network", REGISTRY)
@pytest.mark.parametrize("cutoffs", [None, [4, 11]])
def test_losses_are_those_of_the_normalised_scores(network, cutoffs):
    model = TextModel(VOCABULARY, network, hidden_size=16, cutoffs=cutoffs)
    model = doubled(model)
    tokens = torch.randint(VOCABULARY, (2, 4))
    scores, hidden = model(tokens)
    log_probs = scores.log_softmax(-1)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2, 4).double())
    if cutoffs:
        # What the adaptive softmax returns is normalised already.
        assert torch.allclose(scores, log_probs)
    found = model(tokens, None, TARGETS)
    expected = -log_probs.gather(2, TARGETS.clamp(min=0).unsqueeze(2)).squeeze(2)
    assert torch.allclose(found.losses, expected.masked_fill(TARGETS < 0, 0.0))
    # One token after the other is the same.
    state = None
    for t in range(4):
        one, state = model(tokens[:, t], state)
        assert torch.allclose(one, scores[:, t])
    for a, b in zip(_parts(state), _parts(hidden), strict=True):
        assert torch.allclose(a, b)


def _parts(state):
    return state if isinstance(state, tuple) else (state,)


def test_gradients_of_an_adaptive_softmax_are_those_of_its_scores():
    model = doubled(TextModel(VOCABULARY, hidden_size=16, cutoffs=[4, 11])).train()
    tokens = torch.randint(VOCABULARY, (2, 4))
    # No target is in the second cluster: its gradient is zero, not missing.
    targets = TARGETS.clamp(max=3)
    losses = model(tokens, None, targets).losses.sum()
    found = torch.autograd.grad(losses, list(model.parameters()))
    scores, _ = model(tokens)
    expected = torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), targets.flatten(), reduction="sum"
    )
    wanted = torch.autograd.grad(expected, list(model.parameters()))
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_a_tied_embedding_is_one_matrix_and_gets_a_projection():
    model = TextModel(VOCABULARY, hidden_size=16, tied=True)
    assert model.softmax.weight is model.embedding.weight
    assert model.projection is None
    model = TextModel(VOCABULARY, hidden_size=16, proj_size=12, embedding_size=6, tied=True)
    assert model.projection.weight.shape == (6, 12)
    scores, _ = model(torch.zeros(1, 2, dtype=torch.long))
    assert scores.shape == (1, 2, VOCABULARY)
    with pytest.raises(ValueError, match="cannot be tied"):
        TextModel(VOCABULARY, tied=True, cutoffs=[5])
    with pytest.raises(ValueError, match="cutoffs must rise"):
        TextModel(VOCABULARY, cutoffs=[5, 23])
    with pytest.raises(ValueError, match="leave nothing of a width of 8"):
        TextModel(VOCABULARY, hidden_size=8, cutoffs=[5, 11])


def test_everything_starts_within_its_range():
    torch.manual_seed(0)
    model = TextModel(50, "ran", hidden_size=16, init_range=0.05)
    for name, weight in model.named_parameters():
        assert float(weight.detach().abs().max()) <= 0.05, name
    started = TextModel(50, "lstmp", hidden_size=16, init={"b_f": 1.0})
    assert (started.rnn.layer(1).equation_weights()["b_f"] == 1.0).all()


def test_locked_dropout_drops_the_same_units_in_all_frames():
    torch.manual_seed(0)
    drop = {"embedding": 0.5, "layers": 0.5, "output": 0.5, "locked": True}
    model = TextModel(VOCABULARY, "ran", hidden_size=16, dropout=drop).train()
    seen = {}
    model.softmax.register_forward_pre_hook(lambda m, x: seen.update(top=x[0]))
    model.rnn.layer(0).register_forward_pre_hook(lambda m, x: seen.update(bottom=x[0]))
    model.rnn.layer(1).register_forward_pre_hook(lambda m, x: seen.update(between=x[0]))
    model(torch.randint(VOCABULARY, (3, 5)))
    for name, time in (("top", 1), ("bottom", 0), ("between", 0)):
        dropped = seen[name] == 0
        assert 0 < int(dropped.sum()) < dropped.numel(), name
        assert (dropped == dropped.select(time, 0).unsqueeze(time)).all(), name
    # Whole words, wherever they stand.
    model = TextModel(VOCABULARY, hidden_size=16, dropout={"words": 0.5}).train()
    model.rnn.layer(0).register_forward_pre_hook(lambda m, x: seen.update(bottom=x[0]))
    tokens = torch.randint(VOCABULARY, (8, 9))
    model(tokens)
    gone = (seen["bottom"].transpose(0, 1) == 0).all(2)
    words = set(tokens[gone].tolist())
    assert words
    assert words.isdisjoint(tokens[~gone].tolist())
    with pytest.raises(ValueError, match="dropout has no layer; it has embedding, layers"):
        TextModel(VOCABULARY, dropout={"layer": 0.5})
    with pytest.raises(ValueError, match=r"dropout: embedding must be in \[0, 1\), not 1.0"):
        TextModel(VOCABULARY, dropout=1.0)


@pytest.mark.parametrize("network", ["lstmp", "ran", "slim"])
def test_speechbrains_scorer_and_rescorer_run_with_it(network):
    tokens = Words.learn([line.upper() for line in lines(50, 1)], "<eos>")
    model = TextModel(len(tokens), network, hidden_size=16)
    scorer = RNNLMScorer(model, temperature=1.0)
    memory, read = None, []
    hypotheses = torch.randint(len(tokens), (4, 3))
    for t in range(3):
        log_probs, memory = scorer.score(hypotheses[:, t], memory, None, None)
        memory = scorer.permute_mem(memory, torch.arange(4))
        read.append(log_probs)
    whole = model(hypotheses)[0].log_softmax(-1)
    assert torch.allclose(torch.stack(read, 1), whole, atol=1e-6)

    rescorer = RNNLMRescorer(
        model, tokens, device="cpu", bos_index=0, eos_index=0, pad_index=0, temperature=1.0
    )
    rescorer.to_device()
    texts = ["the cat sees a dog", "a dog likes the cat"]
    found = rescorer.rescore_hyps([texts])
    for text, value in zip(texts, found, strict=True):
        ids = torch.tensor([[0, *tokens.encode(text.upper()), 0]])
        losses = model(ids[:, :-1], None, ids[:, 1:]).losses
        assert float(value) == pytest.approx(-float(losses.detach().sum()), abs=1e-4)


@pytest.mark.parametrize("network", ["ran"])
def test_a_size_meets_its_budget(network):
    def make(size):
        return TextModel(100, network, num_layers=2, hidden_size=size)

    size, count = size_for(make, 50_000)
    assert count == parameters(make(size)) <= 50_000 < parameters(make(size + 1))


def test_a_budget_that_cannot_be_met_is_an_error():
    with pytest.raises(ValueError, match="500 parameters are too few: with size 1 there are"):
        size_for(lambda size: torch.nn.Linear(size, 500), 500)


def test_sizes_of_which_parts_are_fractions():
    """Narrow clusters need a width to begin with, and are no polynomial of the size."""
    for budget in (3_000, 40_000, 1_000_001):
        size, count = size_for(lambda size: AdaptiveSoftmax(size, 100, [10, 50]), budget)
        assert size >= 16
        more = parameters(AdaptiveSoftmax(size + 1, 100, [10, 50]))
        assert count == parameters(AdaptiveSoftmax(size, 100, [10, 50])) <= budget < more
