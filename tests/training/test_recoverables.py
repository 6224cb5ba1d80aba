"""A training says what it has cost, also one that was interrupted."""

from __future__ import annotations

import json
import signal

import pytest

from gatedrnn.training.checkpoints import Cost
from tests.tasks.asr.tiny import launch
from tests.tasks.language_modeling import tiny as lm

KEYS = {"train seconds", "train cpu seconds", "steps", "seconds per step"}
CASE = {"epochs": 2, "bptt": 20, "run_opts": {"ckpt_interval_steps": 2}}


def results(folder) -> dict:
    """The results of a training."""
    return json.loads((folder / "results.json").read_text())


def cost(folder) -> dict:
    """What they say of its cost."""
    return {name: value for name, value in results(folder).items() if name in KEYS}


def test_recogniser(tmp_path):
    (outcome,) = launch(tmp_path, epochs=2)
    assert outcome.code == 0, outcome.said
    found = cost(tmp_path)
    assert set(found) == KEYS
    assert found["steps"] == len(outcome.losses)
    assert found["seconds per step"] == pytest.approx(
        found["train seconds"] / found["steps"], rel=1e-2
    )
    assert found["train cpu seconds"] > 0


def test_an_interrupted_training_goes_on_counting(tmp_path):
    (whole,) = launch(tmp_path / "whole", task=lm.train, **CASE)
    assert whole.code == 0, whole.said
    folder = tmp_path / "killed"
    killed = launch(folder, task=lm.train, environment={"KILL_AT": "2.4"}, **CASE)[0]
    assert killed.code == -signal.SIGKILL, killed.said
    checkpoints = list((folder / "save").glob("CKPT*/cost.ckpt"))
    before = max(json.loads(path.read_text())["seconds"] for path in checkpoints)
    (resumed,) = launch(folder, task=lm.train, **CASE)
    assert resumed.code == 0, resumed.said
    assert len(resumed.losses) < len(whole.losses)
    found = cost(folder)
    assert found["steps"] == cost(tmp_path / "whole")["steps"] == len(whole.losses)
    assert found["train seconds"] > before > 0
    # A test of the finished training, whose best checkpoint may be an early one.
    (folder / "results.json").unlink()
    (tested,) = launch(folder, task=lm.train, **CASE | {"run_opts": {"test_only": True}})
    assert tested.code == 0, tested.said
    assert cost(folder) == found


def test_what_was_not_counted_is_not_claimed(tmp_path):
    """A checkpoint of an older version of the package has no cost."""
    killed = launch(tmp_path, task=lm.train, environment={"KILL_AT": "2.4"}, **CASE)[0]
    assert killed.code == -signal.SIGKILL, killed.said
    for path in (tmp_path / "save").glob("CKPT*/cost.ckpt"):
        path.unlink()
        meta = path.with_name("CKPT.yaml")
        lines = meta.read_text().splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith("  cost.ckpt:"))
        end = next(i for i in range(at + 1, len(lines)) if not lines[i].startswith("  - "))
        meta.write_text("".join(lines[:at] + lines[end:]))
    (resumed,) = launch(tmp_path, task=lm.train, **CASE)
    assert resumed.code == 0, resumed.said
    assert cost(tmp_path) == dict.fromkeys(KEYS)


def test_the_clock_can_be_stopped():
    spent = Cost()
    assert spent.metrics() == dict.fromkeys(KEYS)
    spent.stop()
    assert spent.seconds == 0
    spent.start()
    spent.stop()
    counted = spent.seconds
    spent.stop()
    assert spent.seconds == counted > 0
