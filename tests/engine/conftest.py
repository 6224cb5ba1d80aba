"""Compares a fused runner with the reference: values, and every gradient."""

from __future__ import annotations

import pytest
import torch

from gatedrnn import engine


def problem(cell, *, frames, batch, lengths, dtype, seed, training=False):
    """Random weights and inputs of a cell."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return (torch.randn(*shape, generator=g, dtype=torch.float64) * 0.4).to(dtype)

    counts = None
    if lengths:
        counts = torch.randint(1, frames + 1, (batch,), generator=g)
        counts[0] = frames
    return {
        # Larger weights than these make wide networks chaotic: rounding then grows by the frame.
        "params": {
            n: draw(*s) * min(1.0, s[-1] ** -0.5) if len(s) == 2 else draw(*s)
            for n, s in engine.plan(cell, training).parameters.items()
        },
        "x": draw(frames, batch, cell.input_size),
        "state": {n: draw(batch, w) for n, w in cell.states().items()},
        "below": {n: draw(frames, batch, w) for n, w in cell.below().items()},
        "lengths": counts,
    }


def results(cell, given, runner, **options):
    """Everything a run gives and every gradient of a random sum of it, by name."""

    def leaves(tensors):
        return {n: t.clone().requires_grad_() for n, t in tensors.items()}

    params, state, below = (leaves(given[n]) for n in ("params", "state", "below"))
    x = given["x"].clone().requires_grad_()
    found = engine.run(
        cell, params, x, state, below=below, lengths=given["lengths"], runner=runner, **options
    )
    values = {"output": found.output}
    values |= {f"final {n}": v for n, v in found.state.items()}
    values |= {f"kept {n}": v for n, v in found.kept.items()}
    g = torch.Generator().manual_seed(5)
    loss = sum(
        (v.double() * torch.randn(v.shape, generator=g, dtype=torch.float64)).sum()
        for v in values.values()
    )
    loss.backward()
    values = {n: v.detach() for n, v in values.items()}
    groups = {"": params, "initial ": state, "below ": below, "input ": {"x": x}}
    for kind, tensors in groups.items():
        for name, leaf in tensors.items():
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            values[f"gradient of {kind}{name}"] = gradient
    return values


@pytest.fixture
def compare():
    """A function that asserts that a runner agrees with the reference."""

    def check(
        cell, runner, *, frames=7, batch=5, lengths=True, dtype=torch.float64, tolerance=1e-10,
        seed=1, noise=None, **options,
    ):  # fmt: skip
        training = options.get("training", False)
        given = problem(
            cell, frames=frames, batch=batch, lengths=lengths, dtype=dtype, seed=seed,
            training=training,
        )  # fmt: skip

        def run(name):
            generator = None if noise is None else torch.Generator().manual_seed(noise)
            return results(cell, given, name, generator=generator, **options)

        wanted, found = run("reference"), run(runner)
        assert wanted.keys() == found.keys()
        for name, value in wanted.items():
            assert found[name].dtype == value.dtype, name
            assert found[name].shape == value.shape, name
            error = (found[name].double() - value.double()).abs().max()
            assert error <= tolerance * (1 + value.double().abs().max()), f"{name}: off by {error}"
        return found

    return check


@pytest.fixture
def gated_unit():
    """The minimal gated unit, declared as a user would."""
    from tests.engine.own_cells import MinimalGatedUnit

    return MinimalGatedUnit
