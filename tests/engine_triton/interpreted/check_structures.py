"""Every structure of cell on both paths, both directions: odd sizes, tiles, lengths, types."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gatedrnn.cells import G2LSTM, LSTMP, RAN, DepthGatedLSTM, HighwayLSTM, ResidualLSTM, SlimLSTM
from gatedrnn.cells.declaration import Cell, Stage
from gatedrnn.engine import naming
from gatedrnn.engine.triton import dispatch
from tests.engine_triton.compare import compare, draw

SIZES = {"input_size": 3, "hidden_size": 5}
#: One exchange; a projection; two pointwise stages; states that others read; no exchange at all.
STRUCTURES = {
    "lstm": LSTMP(**SIZES),
    "projected": LSTMP(**SIZES, proj_size=4),
    "residual": ResidualLSTM(**SIZES, proj_size=3, layer_index=1),
    "depth gated": DepthGatedLSTM(**SIZES, layer_index=1, peephole="full"),
    "highway": HighwayLSTM(**SIZES, layer_index=1),
    "additive": RAN(**SIZES, proj_size=4),
    "slim": SlimLSTM(**SIZES, variant="5"),
    "elementwise": SlimLSTM(**SIZES, variant="11"),
}
paths = pytest.mark.parametrize("path", ("step", "persistent"))
structures = pytest.mark.parametrize("cell", STRUCTURES.values(), ids=STRUCTURES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Twisted(Cell):
    """What no cell of ours does: two matrices of one vector in a sum, a state made late, a value
    and the input used again after an exchange, a state read only through a matrix."""

    def weights(self):
        n = self.hidden_size
        names = ("V_x", "W_x", "V_h", "W_h", "W_s", "W_a")
        shapes = dict.fromkeys(names, (n, n))
        return shapes | {"b_a": (n,), "w_a": (n,)}

    def states(self):
        return {"h": self.hidden_size, "s": self.hidden_size, "c": self.hidden_size}

    def stages(self, training=False):
        return (
            Stage({"z": "V_x x + W_x x + V_h h' + W_h h' + W_s s'"}, first, ("a",)),
            Stage({"y": "W_a a"}, second, ("c", "s", "h")),
        )


def first(z, x, c_prev, w_a, b_a):
    return (torch.tanh(z + w_a * c_prev + b_a) * x,)


def second(y, a, x, c_prev, w_a):
    c = torch.where(y > 0, y, 0.5 * y).clamp(-0.8, 0.9) + w_a * c_prev
    s = torch.exp(-torch.abs(c)) + torch.nn.functional.softplus(y) + torch.log1p(a * a)
    return c, s, a * x + torch.expm1(0.1 * c) + torch.maximum(c, a) + torch.sign(y)


@structures
@pytest.mark.parametrize("path, reverse", [("step", True), ("persistent", False)])
def test_lengths(cell, path, reverse, monkeypatch):
    # The other two combinations are among those of check_cells.
    monkeypatch.setenv(dispatch.VARIABLE, path)
    compare(cell, frames=3, lengths=(2, 3, 1), reverse=reverse, keep=("c", "h"))


@structures
@paths
def test_more_than_a_tile(cell, path, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    wide = dataclasses.replace(
        cell, input_size=7, hidden_size=33, proj_size=18 if cell.proj_size else None
    )
    compare(wide, frames=2, batch=17)


@pytest.mark.parametrize("size", (1, 2))
@paths
def test_smallest_sizes(size, path, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    compare(LSTMP(input_size=1, hidden_size=size, proj_size=1), frames=1, batch=1)


def test_groups_of_sequences_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, "persistent")
    lengths = tuple(1 + k % 2 for k in range(70))
    compare(STRUCTURES["lstm"], frames=2, batch=70, lengths=lengths, reverse=True)


@paths
@pytest.mark.parametrize("reverse", (False, True))
def test_a_twisted_cell(path, reverse, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    cell = Twisted(input_size=5, hidden_size=5)
    compare(cell, frames=3, lengths=(3, 1, 2), reverse=reverse, scale=0.5, keep=("a", "s"))


@paths
def test_noise_sequences(path, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    compare(G2LSTM(**SIZES, p=0.7), frames=3, training=True, lengths=(2, 3, 1))


@paths
@pytest.mark.parametrize("kind", ("lstm", "residual", "elementwise"))
def test_float32(path, kind, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    compare(STRUCTURES[kind], frames=3, dtype=torch.float32, tolerance=1e-5, lengths=(2, 3, 1))


@paths
@pytest.mark.parametrize("kind", ("lstm", "residual", "depth gated", "elementwise"))
def test_float16(path, kind, monkeypatch):
    # Not bfloat16: the interpreter's products of it are wrong.
    monkeypatch.setenv(dispatch.VARIABLE, path)
    options = {"frames": 3, "lengths": (2, 3, 1), "keep": ("c",)}
    compare(STRUCTURES[kind], dtype=torch.float16, tolerance=1e-2, **options)


@pytest.mark.parametrize("dtype", (torch.float16, torch.float32))
def test_operators_say_what_they_return(dtype):
    cell = STRUCTURES["residual"]
    given = draw(cell, 2, 3, dtype, "cpu")
    params, x, state, below = ([*g.values()] if isinstance(g, dict) else g for g in given)
    text = naming.cell_to_text(cell)
    arguments = ("triton", text, False, "c", x, None, params, state, below, [], False, None)
    for operator in (torch.ops.gatedrnn.infer, torch.ops.gatedrnn.train):
        with torch.no_grad():
            torch.library.opcheck(
                operator, arguments, test_utils=("test_schema", "test_faketensor")
            )
