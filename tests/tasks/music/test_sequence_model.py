"""The model of the next frame, its likelihood and what counts in it."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.music.corpora import Music
from gatedrnn.tasks.music.data import PieceDataset, collate
from gatedrnn.tasks.music.model import SequenceModel
from gatedrnn.tasks.music.train import metrics_of


def model(network: str = "lstmp", **options) -> SequenceModel:
    torch.manual_seed(0)
    made = SequenceModel(88, network, hidden_size=6, **options).double().eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.uniform_(-0.5, 0.5)
    return made


def pieces(*frames: int) -> Music:
    torch.manual_seed(1)
    rolls = [(torch.rand(n, 88) < 0.05).to(torch.uint8) for n in frames]
    return Music("valid", [f"p{n}" for n in frames], rolls)


@pytest.mark.parametrize("first_frame", [False, True])
@pytest.mark.parametrize("network", ["lstmp", "beta", "depth_gated"])
def test_the_loss_is_that_of_each_piece_alone(network, first_frame):
    """A sum of 88 cross-entropies for each frame; padding and company change nothing."""
    net = model(network)
    dataset = PieceDataset(pieces(9, 4, 6), first_frame)
    items = [(n, a.double(), b.double()) for n, a, b in (dataset[i] for i in range(3))]
    batch = collate(items)
    together = net(batch.inputs, None, batch.targets, batch.lengths)
    assert batch.counts.tolist() == dataset.sizes == [n - (not first_frame) for n in (9, 4, 6)]
    for row, (_, before, after) in enumerate(items):
        scores, _ = net(before.unsqueeze(0))
        p = torch.sigmoid(scores[0])
        expected = -(after * p.log() + (1 - after) * (1 - p).log()).sum(dim=1)
        count = len(after)
        # The losses are in float32.
        assert torch.allclose(together.losses[row, :count].double(), expected, rtol=1e-5)
        assert not together.losses[row, count:].any()
        roll = dataset.music.rolls[row].double()
        assert torch.equal(after, roll if first_frame else roll[1:])
        assert torch.equal(before[-1], roll[-2])
        assert not first_frame or not before[0].any()


def test_the_state_goes_on():
    net, x = model("coupled"), (torch.rand(2, 7, 88) < 0.1).double()
    whole, _ = net(x)
    first, hidden = net(x[:, :3])
    rest, _ = net(x[:, 3:], hidden)
    assert torch.allclose(torch.cat([first, rest], dim=1), whole, atol=1e-12)


def test_dropout_is_locked_and_in_all_places():
    net = model(dropout=0.5, dropout_input=0.3).float().train()
    x = torch.ones(1, 6, 88)
    # Constant input and open loops aside, locked masks leave no difference between frames.
    seen = []
    net.rnn.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    net.output.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    net(x)
    for values, part in zip(seen, (0.3, 0.5), strict=True):
        dropped = values == 0
        assert bool((dropped == dropped[:, :1]).all())
        assert 0 < int(dropped[0, 0].sum()) < values.shape[2], part
    assert net.rnn.locked_dropout and net.rnn.dropout == 0.5
    with pytest.raises(ValueError, match=r"dropout_input must be in \[0, 1\), not 1"):
        SequenceModel(88, dropout_input=1.0)


def test_mean_over_frames_and_mean_over_pieces():
    found = metrics_of([
        {"frames": 4, "loss": 8.0, "both": 3, "either": 6},
        {"frames": 1, "loss": 7.0, "both": 1, "either": 2},
    ])  # fmt: skip
    assert found == {
        "loss": 3.0, "NLL": 3.0, "NLL of pieces": 4.5, "accuracy": 50.0, "frames": 5, "pieces": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("network", "options", "size"),
    [
        ("lstmp", {"peephole": False}, 200),
        ("coupled", {}, 232),
        ("g2", {}, 200),
        ("beta", {"variant": "beta"}, 161),
        ("beta", {"variant": "3g"}, 177),
        ("beta", {"variant": "5g"}, 148),
    ],
)
def test_the_authors_sizes_are_those_of_the_budget(network, options, size):
    """The sizes of their code are the largest with no more parameters than their LSTM."""

    def count(network, hidden_size, options):
        with torch.device("meta"):
            return parameters(
                SequenceModel(88, network, hidden_size=hidden_size, network_options=options)
            )

    budget = count("lstmp", 200, {"peephole": False})
    assert budget == 569_688
    assert count(network, size, options) <= budget < count(network, size + 1, options)


def test_pieces_and_batches_of_them():
    piece = torch.eye(88, dtype=torch.uint8)[:5]
    music = Music("train", ["a"], [piece])
    assert (music.frames, music.notes) == (5, (21, 25))
    dataset = PieceDataset(Music("valid", ["a", "b"], [piece, piece[:3]]), first_frame=False)
    assert dataset.sizes == [4, 2]
    batch = collate([dataset[0], dataset[1]])
    assert batch.inputs.shape == (2, 4, 88) and batch.counts.tolist() == [4, 2]
