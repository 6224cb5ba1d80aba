"""A training that is killed, at any moment, and started again ends like one that was not."""

from __future__ import annotations

import shutil
import signal

import pytest
import torch

from tests.tasks.asr.tiny import launch

# Beta draws noise in its gates, dropout and masks draw from other generators.
CASE = {
    "epochs": 3, "network": "beta", "num_layers": 2, "dropout": 0.1, "train": 12,
    "run_opts": {"ckpt_interval_steps": 2}, "max_batch_size": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    (outcome,) = launch(folder, **CASE)
    assert outcome.code == 0, outcome.said
    assert len(outcome.losses) >= 12
    return outcome, (folder / "train_log.txt").read_text()


def assert_same(outcome, folder, unbroken):
    assert outcome.code == 0, outcome.said
    assert 0 < len(outcome.losses) < len(unbroken[0].losses)
    assert outcome.losses == unbroken[0].losses[-len(outcome.losses) :]
    for name, weight in unbroken[0].weights.items():
        assert torch.equal(outcome.weights[name], weight), name
    assert (folder / "train_log.txt").read_text() == unbroken[1]
    assert outcome.figures == unbroken[0].figures


@pytest.mark.parametrize("moment", ["2.1", "3.2"])
def test_killed_within_an_epoch(tmp_path, unbroken, moment):
    (killed,) = launch(tmp_path, environment={"KILL_AT": moment}, **CASE)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path, **CASE)
    assert_same(outcome, tmp_path, unbroken)


@pytest.mark.parametrize("moment", ["2.written", "4.random", "6.renamed"])
def test_killed_while_a_checkpoint_is_written(tmp_path, unbroken, moment):
    (killed,) = launch(tmp_path, environment={"KILL_IN_SAVE": moment}, **CASE)
    assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path, **CASE)
    assert_same(outcome, tmp_path, unbroken)
    cut_short = "whose writing was cut short" in outcome.said
    assert cut_short == (not moment.endswith("renamed"))


def test_killed_again_and_again(tmp_path, unbroken):
    for moment in ("1.3", "2.4", "3.3"):
        (killed,) = launch(tmp_path, environment={"KILL_AT": moment}, **CASE)
        assert killed.code == -signal.SIGKILL, killed.said
    (outcome,) = launch(tmp_path, **CASE)
    assert_same(outcome, tmp_path, unbroken)


def test_the_newest_checkpoint_is_truncated(tmp_path, unbroken):
    launch(tmp_path, environment={"KILL_AT": "3.2"}, **CASE)
    newest = max((tmp_path / "save").glob("CKPT*"), key=lambda p: p.stat().st_mtime_ns)
    path = newest / "optimizer.ckpt"
    path.write_bytes(path.read_bytes()[:100])
    (outcome,) = launch(tmp_path, **CASE)
    assert outcome.said.count("Skipping the damaged checkpoint") == 1
    assert_same(outcome, tmp_path, unbroken)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
def test_killed_with_compiled_networks_and_a_worker(tmp_path):
    case = {
        "epochs": 2, "num_layers": 2, "bidirectional": True, "dropout": 0.1, "train": 8,
        "run_opts": {"ckpt_interval_steps": 2}, "max_batch_size": 2, "num_workers": 1,
    }  # fmt: skip
    runner = {"GATEDRNN_RUNNER": "cpu"}
    (whole,) = launch(tmp_path / "whole", environment=runner, **case)
    assert whole.code == 0, whole.said
    killed = launch(tmp_path / "killed", environment=runner | {"KILL_AT": "2.2"}, **case)[0]
    assert killed.code == -signal.SIGKILL, killed.said
    (resumed,) = launch(tmp_path / "killed", environment=runner, **case)
    assert_same(
        resumed, tmp_path / "killed", (whole, (tmp_path / "whole/train_log.txt").read_text())
    )
