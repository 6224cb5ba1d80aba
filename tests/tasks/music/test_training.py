"""Training of models of music: metrics, interruptions, several processes."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from gatedrnn.training.optimizers import WorseDecay
from tests.tasks.asr.tiny import launch
from tests.tasks.music.tiny import WatchedSequenceBrain, corpus, train


def test_figures_are_those_of_the_best_model(tmp_path):
    metrics = train(tmp_path, epochs=3, lr=0.03)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"] == metrics
    assert set(metrics) == {"valid", "test"}
    model = WatchedSequenceBrain.instance.checkpointer.recoverables["model"].eval()
    assert results["parameters"] == sum(w.numel() for w in model.parameters())
    total = frames = 0
    with torch.no_grad():
        for roll in corpus(tmp_path).test.rolls:
            x = roll.float().unsqueeze(0)
            total += float(model(x[:, :-1], None, x[:, 1:]).losses.double().sum())
            frames += len(roll) - 1
    assert metrics["test"]["frames"] == frames
    assert metrics["test"]["NLL"] == pytest.approx(total / frames, rel=1e-6)
    rows = (tmp_path / "pieces_test.tsv").read_text().splitlines()
    assert len(rows) == 1 + metrics["test"]["pieces"]
    first = train(tmp_path / "first", epochs=1, first_frame=True)
    assert first["test"]["frames"] == frames + first["test"]["pieces"]
    assert train(tmp_path, {"test_only": True}) == metrics
    with pytest.raises(FileNotFoundError, match="train first"):
        train(tmp_path / "empty", {"test_only": True})
    with pytest.raises(ValueError, match="loss_per must be piece or frame, not 'note'"):
        train(tmp_path / "note", loss_per="note")


def test_a_loss_per_piece_is_one_per_frame_times_their_mean_number(tmp_path):
    """Gradients differ by the number of frames."""
    train(tmp_path / "piece", epochs=1, batch_size=1, dropout=0.0)
    sums = WatchedSequenceBrain.instance.log.rows[0]["train"]["gradient norm"]
    train(tmp_path / "frame", epochs=1, batch_size=1, dropout=0.0, loss_per="frame")
    means = WatchedSequenceBrain.instance.log.rows[0]["train"]["gradient norm"]
    lengths = [len(roll) - 1 for roll in corpus(tmp_path).train.rolls]
    assert min(lengths) / 2 < sums / means < 2 * max(lengths)


def test_wanted_epochs_are_kept_beside_the_best(tmp_path):
    train(tmp_path, epochs=5, keep_epochs=[1, 3], lr=0.0)
    checkpointer = WatchedSequenceBrain.instance.checkpointer
    # With a rate of nothing the first epoch is the best; the last one is always there.
    assert sorted(c.meta["epoch"] for c in checkpointer.list_checkpoints()) == [1, 3, 5]


def test_the_rate_falls_as_in_the_authors_code():
    history = [9.0] * 9 + [8.0, 8.5, 9.5, 9.4, 9.4, 9.6]
    decay = WorseDecay(1 / 1.2, after=10)
    rate, expected = 1.0, []
    for epoch in range(1, len(history) + 1):
        expected.append(rate)
        if epoch > 10 and history[epoch - 1] > max(history[: epoch - 1][-3:]):
            rate /= 1.2
    found = [decay(n + 1, history[:n]) for n in range(len(history))]
    assert found == pytest.approx(expected)
    assert min(found) < 1.0
    for wrong in ({"factor": 0.0}, {"after": -1}, {"recent": 0}):
        with pytest.raises(ValueError, match="recent at least 1"):
            WorseDecay(**wrong)


# Beta samples noise in its gates, dropout from another generator.
CASE = {
    "task": train, "network": "beta", "hidden_size": 6, "dropout": 0.2, "batch_size": 3,
    "run_opts": {"ckpt_interval_steps": 2},
    "network_options": {"variant": "5g", "prior_weight": 0.01},
}  # fmt: skip


def test_killed_and_started_again_it_ends_the_same(tmp_path):
    (whole,) = launch(tmp_path / "whole", **CASE)
    assert whole.code == 0, whole.said
    log = (tmp_path / "whole" / "train_log.txt").read_text()
    for moment in ({"KILL_AT": "2.4"}, {"KILL_IN_SAVE": "2.random"}):
        folder = tmp_path / next(iter(moment))
        (killed,) = launch(folder, environment=moment, **CASE)
        assert killed.code == -signal.SIGKILL, killed.said
        (outcome,) = launch(folder, **CASE)
        assert outcome.code == 0, outcome.said
        assert 0 < len(outcome.losses) < len(whole.losses)
        assert outcome.losses == whole.losses[-len(outcome.losses) :]
        for name, weight in whole.weights.items():
            assert torch.equal(outcome.weights[name], weight), name
        assert (folder / "train_log.txt").read_text() == log
        assert outcome.figures == whole.figures


def test_two_processes_are_one_with_twice_the_pieces(tmp_path):
    # Without Adam's division by its own past, sums in another order stay alike.
    case = {"task": train, "dropout": 0.0, "epochs": 2}
    pair = launch(tmp_path / "pair", world=2, batch_size=2, **case)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", batch_size=4, max_batch_frames=2000, **case)
    assert one.code == 0, one.said
    assert pair[0].losses == pair[1].losses == pytest.approx(one.losses, rel=1e-4)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-3), name
    assert pair[0].figures == pair[1].figures
    for name, metrics in one.figures.items():
        assert pair[0].figures[name] == pytest.approx(metrics, rel=1e-3), name
