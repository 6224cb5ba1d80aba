"""Training of language models: windows, rates, interruptions, several processes."""

from __future__ import annotations

import json
import re
import signal
from functools import partial

import pytest
import torch

from gatedrnn.modules.network_options import parameters
from gatedrnn.tasks.language_modeling.data import streams
from gatedrnn.tasks.language_modeling.model import TextModel
from gatedrnn.tasks.language_modeling.train import make_model
from gatedrnn.tokens import load
from gatedrnn.training.optimizers import EpochDecay, PlateauDecay
from tests.tasks.asr.tiny import launch
from tests.tasks.language_modeling.tiny import WatchedModelBrain, corpus, hparams, train

# ---- in this process ------------------------------------------------------------------------


def test_the_state_is_carried_from_window_to_window(tmp_path):
    """With a rate of nothing, the losses of the windows are those of the streams read at once."""
    train(tmp_path, lr=0.0, epochs=1)
    losses = WatchedModelBrain.instance.losses
    tokens = load(tmp_path / "tokens.json")
    ids = tokens.encode_text(corpus().train).ids
    model, _ = make_model(hparams(tmp_path), len(tokens))
    rows = streams(ids, 3, equal=True)
    window = rows.window(0, len(rows))
    with torch.no_grad():
        whole = model.eval()(window.inputs, None, window.targets).losses
    expected = [float(part.mean()) for part in whole.split(7, dim=1)]
    assert losses == pytest.approx(expected, abs=1e-6)
    fresh = [
        float(model(w.inputs, None, w.targets).losses.detach().mean()) for w in rows.windows(7)
    ]
    assert losses[1:] != pytest.approx(fresh[1:], abs=1e-6)


def test_a_loss_per_stream_is_one_per_token_times_their_number(tmp_path):
    weights = []
    size = len(streams(torch.zeros(1000), 1))
    assert size == 1000
    for loss_per, lr in (("stream", 0.01), ("token", None)):
        folder = tmp_path / loss_per
        text = corpus().train
        length = text.words // 3
        train(
            folder, {"max_grad_norm": float("inf")}, loss_per=loss_per, lr=lr or 0.01 * length,
            bptt=10_000, epochs=1,
        )  # fmt: skip
        model = WatchedModelBrain.instance.checkpointer.recoverables["model"]
        weights.append([w.detach().clone() for w in model.parameters()])
    for one, other in zip(*weights, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="loss_per must be token or stream, not 'word'"):
        train(tmp_path / "word", loss_per="word")


def test_rates_fall_as_the_papers_say():
    decay = EpochDecay(factor=0.8, after=6)
    assert [round(decay(e, []), 4) for e in (1, 6, 7, 39)] == [1.0, 1.0, 0.8, round(0.8**33, 4)]
    history = [100.0, 90.0, 90.0, 85.0, 86.0, 87.0]
    halves = PlateauDecay(0.5)
    assert [halves(0, history[:n]) for n in range(7)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.125]
    patient = PlateauDecay(0.5, patience=1)
    assert [patient(0, history[:n]) for n in range(7)] == [1, 1, 1, 1, 1, 1, 0.5]
    steady = PlateauDecay(0.5, continuous=True)
    assert [steady(0, history[:n]) for n in range(5)] == [1, 1, 1, 0.5, 0.25]
    choosy = PlateauDecay(0.5, min_improvement=0.2)
    assert choosy(0, history[:2]) == 0.5
    for wrong in ({"factor": 0.0}, {"patience": -1}, {"min_improvement": 1.0}):
        with pytest.raises(ValueError, match="factor must be in"):
            PlateauDecay(**wrong)
    with pytest.raises(ValueError, match="after at least 0"):
        EpochDecay(after=-1)


def logged(folder, name):
    """A figure of every epoch, from the training log."""
    lines = (folder / "train_log.txt").read_text().splitlines()
    return [float(re.search(rf"{name}: ([^,\s]+)", line)[1]) for line in lines]


def test_the_rate_is_halved_without_improvement(tmp_path):
    train(tmp_path, lr=10.0, epochs=5, rate_falls="plateau")
    found = logged(tmp_path, "valid perplexity")
    expected = [10.0 * PlateauDecay(0.5)(0, found[:n]) for n in range(5)]
    assert logged(tmp_path, "lr") == pytest.approx(expected)
    assert min(expected) < 10.0


def test_it_stops_early_and_tests_the_best(tmp_path):
    figures = train(tmp_path, lr=0.0, epochs=30, patience=2)
    assert logged(tmp_path, "epoch") == [1, 2, 3]
    # The test reads one stream, validation read two.
    best = logged(tmp_path, "valid perplexity")[0]
    assert figures["valid"]["perplexity"] == pytest.approx(best, rel=0.01)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["sets"] == figures
    assert set(figures) == {"valid", "test"}
    with pytest.raises(FileNotFoundError, match="train first"):
        train(tmp_path / "empty", {"test_only": True})


def test_a_budget_and_an_adaptive_softmax(tmp_path):
    train(tmp_path, {"precision": "bf16"}, parameter_budget=9_000, cutoffs=[5, 9], epochs=1)
    results = json.loads((tmp_path / "results.json").read_text())
    model = WatchedModelBrain.instance.checkpointer.recoverables["model"]
    assert results["parameters"] == sum(w.numel() for w in model.parameters()) <= 9_000
    assert results["hidden_size"] == model.rnn.hidden_size != 12
    described = json.loads((tmp_path / "model.json").read_text())["model"]["model"]
    assert (described["hidden_size"], described["cutoffs"]) == (results["hidden_size"], [5, 9])
    assert all(bool(torch.isfinite(w).all()) for w in model.parameters())


def test_gradients_are_accumulated_over_windows(tmp_path):
    train(tmp_path, {"grad_accumulation_factor": 3}, epochs=1)
    brain = WatchedModelBrain.instance
    assert brain.optimizer_step == -(-len(brain.losses) // 3)
    assert len(brain.log.rows) == 1


def test_what_is_not_finite_is_not_carried_on(tmp_path, monkeypatch):
    monkeypatch.setenv("NAN_AT", "1.2.0")
    train(tmp_path, epochs=1)
    losses = WatchedModelBrain.instance.losses
    assert losses[1] != losses[1]
    assert all(loss == loss for loss in (losses[0], *losses[2:]))


# ---- interrupted ----------------------------------------------------------------------------

# Beta draws noise in its gates, dropout from other generators; the state goes on in each.
CASES = {
    "carried": {"network": "beta", "num_layers": 2, "dropout": 0.1, "bptt": 20},
    "lines": {"carry_state": False, "network": "slim", "dropout": 0.1, "batch_size": 8,
              "max_batch_tokens": 100},
}  # fmt: skip
COMMON = {"task": train, "run_opts": {"ckpt_interval_steps": 2}, "loss_per": "token"}


@pytest.fixture(scope="module", params=CASES)
def unbroken(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    case = COMMON | CASES[request.param]
    (outcome,) = launch(folder, **case)
    assert outcome.code == 0, outcome.said
    assert len(outcome.losses) >= 10
    return case, outcome, (folder / "train_log.txt").read_text()


@pytest.mark.parametrize(
    "moment", [{"KILL_AT": "1.4"}, {"KILL_AT": "2.4"}, {"KILL_IN_SAVE": "2.random"}]
)
def test_killed_and_started_again_it_ends_the_same(tmp_path, unbroken, moment):
    case, whole, log = unbroken
    (killed,) = launch(tmp_path, environment=moment, **case)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path, **case)
    assert outcome.code == 0, outcome.said
    assert 0 < len(outcome.losses) < len(whole.losses)
    assert outcome.losses == whole.losses[-len(outcome.losses) :]
    for name, weight in whole.weights.items():
        assert torch.equal(outcome.weights[name], weight), name
    assert (tmp_path / "train_log.txt").read_text() == log
    assert outcome.figures == whole.figures


# ---- several processes ----------------------------------------------------------------------


@pytest.mark.parametrize("carried", [True, False])
def test_two_processes_are_one_with_twice_the_streams(tmp_path, carried):
    # Clusters without a target in one process, tied weights in the other case.
    case = {
        "task": train, "carry_state": carried, "cutoffs": [3, 9] if carried else None,
        "tied": not carried, "hidden_size": 16, "valid_streams": 3, "bptt": 30, "lr": 0.1,
    }  # fmt: skip
    bounds = {"batch_size": 2, "max_batch_tokens": 10_000}
    pair = launch(tmp_path / "pair", world=2, **case, **bounds)
    assert [o.code for o in pair] == [0, 0], pair[0].said + pair[1].said
    (one,) = launch(tmp_path / "one", **case, batch_size=4, max_batch_tokens=20_000)
    assert one.code == 0, one.said
    assert pair[0].losses == pair[1].losses == pytest.approx(one.losses, abs=1e-5)
    for name, weight in one.weights.items():
        assert torch.equal(pair[0].weights[name], pair[1].weights[name]), name
        assert torch.allclose(pair[0].weights[name], weight, atol=1e-5), name
    assert pair[0].figures == pair[1].figures
    for name, figures in one.figures.items():
        assert pair[0].figures[name] == pytest.approx(figures, rel=1e-5), name
    # What two have trained one tests, and finds the same.
    (alone,) = launch(tmp_path / "pair", run_opts={"test_only": True}, **case, **bounds)
    assert alone.code == 0, alone.said
    for name, figures in pair[0].figures.items():
        assert alone.figures[name] == pytest.approx(figures, rel=1e-6), name


def test_a_budget_sets_the_hidden_size():
    hparams = {"model": partial(TextModel), "parameter_budget": 20_000}
    model, arguments = make_model(hparams, 50)
    assert (arguments, parameters(model)) == ({"hidden_size": 31}, 18_960)
