"""Fixtures for all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

from gatedrnn.engine import naming
from gatedrnn.engine.select import REFERENCE, VARIABLE

# The networks of the tests are tiny, and tests run beside each other: threads only wait.
torch.set_num_threads(1)
# The reference defines what a network computes. The other runners compile each recurrence; they
# are compared with it, once for every recurrence, in tests/engine and tests/engine_triton.
os.environ.setdefault(VARIABLE, REFERENCE)

_trace = naming.trace


def trace_what_can_be_compiled(cell, training=False):
    """Leaves a new recurrence untraced until some runner asks, if the reference runs it.

    A trace takes longer than most tests' networks run, and each size of a network is a new
    recurrence. In the tests of the engine, all are traced as soon as they are made.
    """
    if os.environ.get(VARIABLE) != REFERENCE:
        _trace(cell, training)


naming.trace = trace_what_can_be_compiled


@pytest.fixture(autouse=True)
def automatic_runner_for_tests_of_the_engine(request, monkeypatch):
    """Leaves the choice of a runner to the engine where the engine is what is tested."""
    if Path(request.path).parent.name.startswith("engine"):
        monkeypatch.delenv(VARIABLE, raising=False)
        # Recurrences that other tests have made are new to these, and traced.
        monkeypatch.setattr(naming, "_KEYS", {})
        monkeypatch.setattr(naming, "_CELLS", {})


@pytest.fixture
def learning_curves():
    """Has learning curves drawn."""


@pytest.fixture(autouse=True)
def no_learning_curves_unless_asked_for(request, monkeypatch):
    """Drawing takes longer than all the rest of a small training."""
    log = sys.modules.get("gatedrnn.training.log")
    if log is not None and "learning_curves" not in request.fixturenames:
        monkeypatch.setattr(log.TrainingLog, "_draw", lambda self: None)
