"""Fixtures for all tests."""

from __future__ import annotations

import pytest
import torch

from gatedrnn.engine import select

# The networks of the tests are tiny, and tests run beside each other: threads only wait.
torch.set_num_threads(1)


@pytest.fixture(params=["reference", "cpu"])
def runner(request, monkeypatch):
    """Forces each of the CPU's runners in turn."""
    if request.param != select.REFERENCE:
        from gatedrnn.engine.cpu import build

        if build.obstacle():
            pytest.skip(f"the runner {request.param!r} cannot run here: {build.obstacle()}")
    monkeypatch.setenv(select.VARIABLE, request.param)
    return request.param
