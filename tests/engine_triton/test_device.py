"""All paths on a real device. Everything here is skipped where there is no CUDA device."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gatedrnn import engine
from gatedrnn.cells import LSTMP, RAN, BetaLSTM, DepthGatedLSTM, ResidualLSTM, SlimLSTM
from gatedrnn.engine.triton import dispatch, launch
from tests.engine_triton import compare as tools

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

SIZES = {"input_size": 96, "hidden_size": 256}
CELLS = {
    "lstm": LSTMP(**SIZES),
    "projected": LSTMP(**SIZES, proj_size=128),
    "residual": ResidualLSTM(**SIZES, proj_size=128, layer_index=1),
    "depth gated": DepthGatedLSTM(**SIZES, layer_index=1, peephole="full"),
    "additive": RAN(**SIZES),
    "slim": SlimLSTM(**SIZES, variant="5"),
    "elementwise": SlimLSTM(**SIZES, variant="10"),
}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
types = pytest.mark.parametrize("dtype", TYPES.values(), ids=TYPES)
paths = pytest.mark.parametrize("path", ("step", "persistent"))


def check(cell, dtype, frames=40, batch=5, **options):
    """As near the float64 reference as the reference of the same type is, give or take."""
    given = tools.draw(cell, frames, batch, dtype, "cuda", scale=0.1)
    params, x, state, below = given

    def exact(values):
        return {n: v.detach().double().requires_grad_() for n, v in values.items()}

    doubled = exact(params), exact({"x": x})["x"], exact(state), exact(below)
    expected = tools.run("reference", cell, doubled, **options)
    plain = tools.run("reference", cell, given, **options)
    found = tools.run("triton", cell, given, **options)
    for name, value in expected.items():
        largest = max(1.0, value.abs().max().item())
        usual = (plain[name].double() - value).abs().max().item()
        error = (found[name].double() - value).abs().max().item()
        bound = 4.0 * usual + 4.0 * torch.finfo(dtype).eps * largest
        assert error <= bound, f"{name} is off by {error:.2g}, more than {bound:.2g}"


@cells
@types
@paths
@pytest.mark.parametrize("reverse", (False, True))
def test_agrees_with_the_reference(cell, dtype, path, reverse, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    check(cell, dtype, lengths=(40, 1, 17, 39, 2), reverse=reverse, keep=("c",))


@paths
@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 17, 33), (70, 20, 650), (9, 130, 320)])
def test_odd_sizes(path, sizes, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    frames, batch, hidden = sizes
    cell = dataclasses.replace(CELLS["lstm"], hidden_size=hidden, input_size=7)
    check(cell, torch.float32, frames=frames, batch=batch)


def test_one_graph_serves_every_length(monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, "step")
    before = len(launch._GRAPHS)
    cell = dataclasses.replace(CELLS["lstm"], hidden_size=48)
    for frames in (3, launch.GRAPH_FRAMES, launch.GRAPH_FRAMES + 1, 3 * launch.GRAPH_FRAMES):
        check(cell, torch.float32, frames=frames)
    assert len(launch._GRAPHS) == before + 2
    monkeypatch.setenv(launch.GRAPHS, "0")
    check(cell, torch.float32, frames=5)
    assert len(launch._GRAPHS) == before + 2


@paths
def test_runs_are_bit_equal(path, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    cell = CELLS["residual"]
    given = tools.draw(cell, 30, 8, torch.bfloat16, "cuda", scale=0.1)
    first, second = (tools.run("triton", cell, given) for _ in range(2))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@paths
def test_many_persistent_launches(path, monkeypatch):
    # A wait that is wrong now and then shows in a thousand frames sooner than in forty.
    monkeypatch.setenv(dispatch.VARIABLE, path)
    check(CELLS["lstm"], torch.float32, frames=1000, batch=16)


def test_draws_on_the_device():
    cell = BetaLSTM(input_size=4, hidden_size=256, variant="beta")
    params = {n: torch.zeros(s, device="cuda") for n, s in engine.plan(cell).parameters.items()}
    kept = engine.run(
        cell,
        params,
        torch.zeros(40, 32, 4, device="cuda"),
        training=True,
        keep=("a_1", "u_1"),
        generator=torch.Generator("cuda").manual_seed(0),
        runner="triton",
    ).kept
    draws, shape = kept["u_1"].double() - 1e-3, kept["a_1"].double()
    # Mean and variance of Gamma(a, 1) are both a.
    assert (draws.mean() - shape.mean()).abs() < 0.01
    assert (draws.var() - shape.mean()).abs() < 0.03


def test_is_chosen_by_itself():
    name, reason = engine.explain(CELLS["lstm"], "cuda", torch.bfloat16)
    assert name == "triton", reason
