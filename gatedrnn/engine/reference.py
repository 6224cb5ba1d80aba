"""The reference runner: a readable loop under autograd. It defines what a cell computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gatedrnn.engine.plan import Plan
from gatedrnn.engine.types import Result


def run(
    plan: Plan,
    params: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    state: Mapping[str, torch.Tensor],
    *,
    below: Mapping[str, torch.Tensor],
    lengths: torch.Tensor | None,
    reverse: bool,
    keep: Sequence[str],
    generator: torch.Generator | None,
) -> Result:
    """Runs a cell over a sequence, frame by frame, in plain PyTorch.

    Any dtype; differentiable any number of times. The arguments are those of
    :func:`gatedrnn.engine.run`, all present. Products run in the dtype of the weights; everything
    pointwise, and the cell state between frames, in float32 at least.

    Returns
    -------
    Result
    """
    cell = plan.cell
    frames, batch = x.shape[:2]
    wide = torch.promote_types(x.dtype, torch.float32)
    weights = plan.views(params)
    vectors = {n: w.to(wide) for n, w in weights.items() if w.dim() == 1}

    # One product for all frames: what the input contributes to every sum.
    hoisted = _products(plan, params, "x", x, wide)
    noise = {
        name: draw(
            (frames, batch, cell.hidden_size), generator=generator, dtype=wide, device=x.device
        )
        for name, draw in cell.noise(plan.training).items()
    }
    frame_inputs = {"x": x, **below}
    state = {name: value.to(wide) for name, value in state.items()}
    steps: dict[str, list[torch.Tensor]] = {name: [] for name in ("h", *keep)}

    for t in reversed(range(frames)) if reverse else range(frames):
        values = {f"{name}_prev": value for name, value in state.items()}
        values |= {name: sequence[t].to(wide) for name, sequence in frame_inputs.items()}
        values |= {name: sequence[t] for name, sequence in noise.items()}
        products = {name: product[t] for name, product in hoisted.items()}
        for planned in plan.stages:
            for source in planned.sources:
                products |= _products(plan, params, source, values[source].to(x.dtype), wide)
            for total, terms in planned.terms.items():
                values[total] = sum(products[term.weight] for term in terms)
            if planned.stage.pointwise is not None:
                named = values | vectors | {"generator": generator}
                arguments = {a: named[n] for a, n in planned.arguments.items()}
                returned = planned.stage.pointwise(**arguments)
                values |= zip(planned.stage.returns, returned, strict=True)
        # The output is what the layer above and the next frame see: it has the weights' dtype.
        values["h"] = values["h"].to(x.dtype)
        if lengths is None:
            state = {name: values[name].to(wide) for name in state}
            for name, kept in steps.items():
                kept.append(values[name])
        else:
            valid = (t < lengths).unsqueeze(1)
            state = {n: torch.where(valid, values[n].to(wide), old) for n, old in state.items()}
            for name, kept in steps.items():
                kept.append(torch.where(valid, values[name], torch.zeros_like(values[name])))

    sequences = {n: torch.stack(kept[::-1] if reverse else kept) for n, kept in steps.items()}
    return Result(
        output=sequences["h"],
        state={name: value.to(x.dtype) for name, value in state.items()},
        kept={name: sequences[name] for name in keep},
    )


def _products(plan: Plan, params, source: str, vector: torch.Tensor, dtype: torch.dtype):
    """All products of one vector, by weight name, from one matrix product."""
    if source not in plan.matrices:
        return {}
    parameter = plan.matrices[source]
    packed = torch.nn.functional.linear(vector, params[parameter]).to(dtype)
    return {
        name: packed[..., slot.start : slot.stop]
        for name, slot in plan.slots.items()
        if slot.parameter == parameter
    }
