"""Fixtures of the swap tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def readable_runner(monkeypatch):
    """The places are about shapes, names and states: the runner that needs no compiler will do.

    Set ``GATEDRNN_RUNNER`` to try another one in all of them.
    """
    if not os.environ.get("GATEDRNN_RUNNER"):
        monkeypatch.setenv("GATEDRNN_RUNNER", "reference")
