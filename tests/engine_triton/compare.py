"""Compares a runner with the reference: outputs, states, kept values and every gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gatedrnn import engine
from gatedrnn.cells.declaration import Cell


def draw(cell: Cell, frames: int, batch: int, dtype, device, scale: float = 1.0):
    """Random weights, input, initial state and sequences from below, all wanting gradients."""
    generator = torch.Generator().manual_seed(5)

    def leaf(*shape: int) -> torch.Tensor:
        value = torch.rand(shape, generator=generator, dtype=torch.float64) * 2.0 - 1.0
        return (value * scale).to(device, dtype).requires_grad_()

    params = {n: leaf(*s) for n, s in engine.plan(cell).parameters.items()}
    x = leaf(frames, batch, cell.input_size)
    state = {n: leaf(batch, w) for n, w in cell.states().items()}
    below = {n: leaf(frames, batch, w) for n, w in cell.below().items()}
    return params, x, state, below


def run(
    runner: str,
    cell: Cell,
    given,
    *,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
    training: bool = False,
    keep: Sequence[str] = (),
    gradients: bool = True,
) -> dict[str, torch.Tensor]:
    """Everything that a runner gives, by name; gradients are those of a random weighted sum."""
    params, x, state, below = given
    result = engine.run(
        cell,
        params,
        x,
        state,
        below=below,
        lengths=None if lengths is None else torch.tensor(lengths),
        reverse=reverse,
        training=training,
        keep=keep,
        generator=torch.Generator(x.device).manual_seed(1),
        runner=runner,
    )
    found = {"h": result.output, **{f"final {n}": s for n, s in result.state.items()}}
    found |= {f"kept {n}": v for n, v in result.kept.items()}
    if not gradients:
        return found
    generator = torch.Generator().manual_seed(2)
    loss = 0.0
    for value in found.values():
        weight = torch.rand(value.shape, generator=generator, dtype=torch.float64)
        loss = loss + (value.double() * weight.to(x.device)).sum()
    leaves = {"x": x, **params}
    leaves |= {f"initial {n}": s for n, s in state.items()} | below
    slopes = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), slopes, strict=True):
        found[f"d {name}"] = torch.zeros_like(leaf) if gradient is None else gradient
    return {name: value.detach() for name, value in found.items()}


def compare(
    cell: Cell,
    runner: str = "triton",
    *,
    frames: int = 4,
    batch: int = 3,
    dtype: torch.dtype = torch.float64,
    tolerance: float = 1e-10,
    device: str = "cpu",
    scale: float = 1.0,
    **options,
) -> None:
    """Asserts that a runner agrees with the reference in float64.

    ``tolerance`` is relative to the largest entry of a result, or to one.
    """
    given = draw(cell, frames, batch, dtype, device, scale)
    params, x, state, below = given

    def exact(values):
        return {n: v.detach().double().requires_grad_() for n, v in values.items()}

    doubled = exact(params), exact({"x": x})["x"], exact(state), exact(below)
    expected = run("reference", cell, doubled, **options)
    found = run(runner, cell, given, **options)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        error = (found[name].double() - value).abs().max().item()
        bound = tolerance * max(1.0, value.abs().max().item())
        assert error <= bound, f"{cell}: {name} is off by {error:.2g} of at most {bound:.2g}"
