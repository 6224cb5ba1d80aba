"""Fixtures for all tests."""

from __future__ import annotations

import pytest
import torch

# The networks of the tests are tiny, and tests run beside each other: threads only wait.
torch.set_num_threads(1)


@pytest.fixture(params=["reference"])
def runner(request, monkeypatch):
    """Forces each runner of this machine in turn."""
    monkeypatch.setenv("GATEDRNN_RUNNER", request.param)
    return request.param
