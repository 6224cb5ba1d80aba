"""Fixtures for all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["reference"])
def runner(request, monkeypatch):
    """Forces each runner of this machine in turn."""
    monkeypatch.setenv("GATEDRNN_RUNNER", request.param)
    return request.param
