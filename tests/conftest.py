"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from gatedrnn.engine.select import VARIABLE

# The networks of the tests are tiny, and tests run beside each other: threads only wait.
torch.set_num_threads(1)
# The reference defines what a network computes. The other runners compile each recurrence; they
# are compared with it, once for every recurrence, in tests/engine and tests/engine_triton.
os.environ.setdefault(VARIABLE, "reference")


@pytest.fixture(autouse=True)
def automatic_runner_for_tests_of_the_engine(request, monkeypatch):
    """Leaves the choice of a runner to the engine where the engine is what is tested."""
    if Path(request.path).parent.name.startswith("engine"):
        monkeypatch.delenv(VARIABLE, raising=False)
