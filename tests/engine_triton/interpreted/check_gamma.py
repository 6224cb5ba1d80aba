"""Gamma draws inside a kernel: their distribution, their gradient, and where they come from."""

from __future__ import annotations

import functools

import pytest
import torch

from gatedrnn import engine
from gatedrnn.cells import BetaLSTM, beta
from gatedrnn.engine.triton import dispatch
from tests.engine_triton import compare as tools

SIZES = {"input_size": 3, "hidden_size": 5}


def kept_names(cell):
    return tuple(f"{n}_{k}" for n in "au" for k in range(1, cell.num_gammas + 1))


@functools.cache
def run_many(seed, units=64, dtype=torch.float32):
    """Draws of two frames, of shapes that the bias decides."""
    cell = BetaLSTM(input_size=1, hidden_size=units, variant="beta")
    plan = engine.plan(cell)
    params = {n: torch.zeros(s, dtype=dtype) for n, s in plan.parameters.items()}
    shapes = (0.05, 0.7, 1.0, 9.0)
    for k, shape in enumerate(shapes, 1):
        plan.view(params, f"b_a{k}").fill_(torch.tensor(shape - 1e-3).expm1().log().item())
    result = engine.run(
        cell,
        params,
        torch.zeros(2, 32, 1, dtype=dtype),
        training=True,
        keep=tuple(f"u_{k}" for k in range(1, 5)),
        generator=torch.Generator().manual_seed(seed),
        runner="triton",
    )
    return {shape: result.kept[f"u_{k}"] - 1e-3 for k, shape in enumerate(shapes, 1)}


def test_distribution():
    for shape, draws in run_many(0).items():
        ordered = draws.double().flatten().sort().values
        assert ordered.min() >= 0.0
        # Kolmogorov's distance to the distribution function: 1.95 is passed once in a thousand.
        expected = torch.special.gammainc(torch.full_like(ordered, shape), ordered)
        steps = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
        distance = (expected - steps).abs().max() + 1.0 / len(ordered)
        # Next to the offset of 1e-3 nothing is left of much smaller draws.
        if shape < 0.1:
            seen = ordered > 1e-3
            distance = (expected - steps)[seen].abs().max()
        assert distance * len(ordered) ** 0.5 < 1.95, shape


def test_frames_units_and_gates_draw_independently():
    draws = run_many(0)
    first, second = draws[1.0][0].flatten(), draws[1.0][1].flatten()
    other = draws[9.0][0].flatten()
    for one, two in ((first, second), (first, other), (first[:-1], first[1:])):
        assert torch.corrcoef(torch.stack([one, two]))[0, 1].abs() < 0.1


def test_the_generator_decides():
    # Not the cached call: this is about calling it twice.
    first, again, other = (run_many.__wrapped__(seed, 4)[1.0] for seed in (3, 3, 4))
    assert torch.equal(again, first) and not torch.equal(again, other)


@pytest.mark.parametrize(
    "variant, path", [("beta", "step"), ("3g", "persistent"), ("5g", "step"), ("5g", "persistent")]
)
def test_gradients_given_the_draws(variant, path, monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, path)
    cell = BetaLSTM(**SIZES, variant=variant)
    given = tools.draw(cell, 3, 3, torch.float64, "cpu")
    options = {"training": True, "lengths": (2, 3, 1), "keep": kept_names(cell)}
    found = tools.run("triton", cell, given, **options)
    calls = iter(
        found[f"kept u_{k}"][t] - beta.EPSILON
        for t in range(3)
        for k in range(1, cell.num_gammas + 1)
    )
    # The reference is made to draw what the kernel drew; padded frames may draw anything.
    monkeypatch.setattr(beta, "standard_gamma", lambda shape, _: Given.apply(shape, next(calls)))
    expected = tools.run("reference", cell, given, **options)
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-9, atol=1e-9), name


class Given(torch.autograd.Function):
    """A draw that is already known, differentiable as a draw is."""

    @staticmethod
    def forward(ctx, shape, value):
        value = value.clamp(min=1e-30)
        ctx.save_for_backward(shape, value)
        return value

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch._standard_gamma_grad(*ctx.saved_tensors), None
