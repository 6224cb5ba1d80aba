"""Declarations that contradict themselves are refused with one clear error each."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from gatedrnn import engine
from gatedrnn.cells import CELLS, LSTMP, Cell, Stage, find, parse_products


@dataclass(frozen=True, kw_only=True)
class Simple(Cell):
    """h = tanh(W_x x + W_h h' + b_h), declared as the argument says."""

    flaw: str = ""

    def weights(self):
        shapes = {"W_x": (self.hidden_size, self.input_size)}
        shapes |= {"W_h": (self.hidden_size, self.hidden_size), "b_h": (self.hidden_size,)}
        return shapes | ({"b_idle": (3,)} if self.flaw == "unused" else {})

    def states(self):
        return {"c": 1} if self.flaw == "states" else {"h": self.hidden_size}

    def stages(self, training=False):
        def step(z, b_h=0.0):
            return (torch.tanh(z + b_h),)

        def strange(z, nothing_of_the_kind):
            return (z,)

        total = {
            "matrix": "W_y x",
            "vector": "b_h x",
            "twice": "W_x x + W_x x",
            "source": "W_x later + W_h h'",
            "text": "W_x x + W_h",
        }.get(self.flaw, "W_x x + W_h h'")
        function = strange if self.flaw == "argument" else step
        return (Stage({"z": total}, function, ("q",) if self.flaw == "output" else ("h",)),)


def cell(flaw: str = "") -> Simple:
    return Simple(input_size=2, hidden_size=3, flaw=flaw)


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("matrix", "'W_y', which weights\\(\\) does not declare as a matrix"),
        ("vector", "'b_h', which weights\\(\\) does not declare as a matrix"),
        ("twice", "'W_x' is used twice"),
        ("source", "multiplies 'later', which is neither"),
        ("argument", "nothing is called 'nothing_of_the_kind'"),
        ("output", "no stage returns the state\\(s\\) h"),
        ("unused", "no stage uses the weight\\(s\\) b_idle"),
        ("states", "must begin with 'h'"),
    ],
)
def test_flaws_are_named(flaw, message):
    with pytest.raises(engine.DeclarationError, match=message):
        engine.plan(cell(flaw))


def test_unreadable_product():
    with pytest.raises(ValueError, match="cannot read the product 'W_h'"):
        engine.plan(cell("text"))
    assert parse_products("A x+B c'")[1].source == "c_prev"


def test_cell_with_one_state_runs():
    """A recurrence without a cell has one state; tanh RNN equals torch's."""
    planned = engine.plan(cell())
    params = {n: torch.rand(s, dtype=torch.float64) for n, s in planned.parameters.items()}
    x = torch.rand(5, 2, 2, dtype=torch.float64)
    result = engine.run(cell(), params, x)
    rnn = torch.nn.RNN(2, 3).double()
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(params["weight_ih"])
        rnn.weight_hh_l0.copy_(params["weight_hh"])
        rnn.bias_ih_l0.copy_(params["bias"])
        rnn.bias_hh_l0.zero_()
    torch.testing.assert_close(result.output, rnn(x)[0], rtol=0, atol=1e-13)
    assert set(result.state) == {"h"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_size": 0}, "input_size must be a positive integer, not 0"),
        ({"hidden_size": 2.5}, "hidden_size must be a positive integer, not 2.5"),
        ({"proj_size": -1}, "proj_size must be a positive integer, or None or 0"),
        ({"init_range": float("nan")}, "init_range must be None or at least 0"),
    ],
)
def test_impossible_sizes(arguments, message):
    with pytest.raises(ValueError, match=message):
        LSTMP(**({"input_size": 2, "hidden_size": 3} | arguments))


def test_registry_lists_every_recurrence_once():
    assert len({c.key for c in CELLS}) == len({c.__name__ for c in CELLS}) == len(CELLS) >= 10
    for c in CELLS:
        assert find(c.key) is c
        assert find(c.__name__) is c
        assert c.paper
        assert c.summary
    with pytest.raises(
        ValueError, match="there is no recurrence 'rann'; there are: lstmp, highway"
    ):
        find("rann")


def test_engine_refuses_what_does_not_fit():
    c = cell()
    params = {n: torch.rand(s) for n, s in engine.plan(c).parameters.items()}
    with pytest.raises(ValueError, match=r"must be \(frames, batch, 2\), not \(5, 1, 3\)"):
        engine.run(c, params, torch.rand(5, 1, 3))
    with pytest.raises(ValueError, match="has no frames or no sequences"):
        engine.run(c, params, torch.rand(0, 1, 2))
    with pytest.raises(ValueError, match="no value is called q"):
        engine.run(c, params, torch.rand(5, 1, 2), keep=("q",))
    with pytest.raises(ValueError, match=r"initial state h must be \(1, 3\)"):
        engine.run(c, params, torch.rand(5, 1, 2), {"h": torch.rand(1, 4)})
    with pytest.raises(ValueError, match="reads nothing from the layer below"):
        engine.run(c, params, torch.rand(5, 1, 2), below={"c_below": torch.rand(5, 1, 3)})
