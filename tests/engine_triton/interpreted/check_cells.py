"""Every row of the table of recurrences, in the interpreter, against the reference in float64."""

from __future__ import annotations

import pytest

from gatedrnn.engine.triton import dispatch
from tests.cases import CASES, IDS, build
from tests.engine_triton.compare import compare

PATHS = ("step", "persistent")


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_every_row(number, monkeypatch):
    # Rows take turns at paths and directions: every kind of cell has several rows, and
    # check_structures runs every structure every way.
    net = build(*CASES[number], layers=2)
    low, high = (net.layer(k).cell for k in range(2))
    monkeypatch.setenv(dispatch.VARIABLE, PATHS[number % 2])
    compare(low, frames=2, lengths=(2, 1, 2), keep=("c",), reverse=number % 3 == 0)
    if high.below():
        monkeypatch.setenv(dispatch.VARIABLE, PATHS[1 - number % 2])
        compare(high, frames=2, lengths=(1, 2, 2), reverse=number % 3 != 0)
