"""The Triton runner: what happens before, between and after its kernels.

Before the loop: the input's products, of all frames at once. In the loop: printed kernels, by one
of three paths (:mod:`gatedrnn.engine.triton.dispatch`). After it, in the backward: every weight's
gradient from the gradients of all sums, as few large products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import torch

from gatedrnn.engine.operators import Call
from gatedrnn.engine.plan import INPUT
from gatedrnn.engine.select import Runner
from gatedrnn.engine.trace import Step
from gatedrnn.engine.triton import dispatch, launch, source
from gatedrnn.engine.triton.layout import ALL, INDEX, ONE, WIDE, Buffer, Layout

Tensors = dict[str, torch.Tensor]


def _empty(buffer: Buffer, call: Call) -> torch.Tensor:
    frames, batch = call.x.shape[:2]
    dtype = call.x.dtype
    if buffer.dtype == WIDE:
        dtype = torch.promote_types(dtype, torch.float32)
    shape = () if buffer.frames == ONE else (frames if buffer.frames == ALL else 2,)
    return torch.empty((*shape, batch, buffer.columns), dtype=dtype, device=call.x.device)


def _given(call: Call, layout: Layout) -> Tensors:
    """The tensors that both directions read."""
    frames, batch = call.x.shape[:2]
    wide = torch.promote_types(call.x.dtype, torch.float32)
    lengths = call.lengths
    if lengths is None:
        lengths = torch.full((batch,), frames, device=call.x.device)
    tensors = {"lengths": lengths.to(torch.int32), "in_x": call.x}
    tensors |= {f"in_{n}": t for n, t in call.below.items()}
    tensors |= {f"in_{n}": t.to(wide) for n, t in call.noise.items()}
    tensors |= {f"p_{n}": t for n, t in call.params.items()}
    for name, state in call.state.items():
        tensors[f"init_{name}"] = state if name == "h" else state.to(wide)
    return {n: _aligned(t) for n, t in tensors.items()}


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.contiguous()
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()


def _launch(call: Call, layout: Layout, tensors: Tensors, backward: bool, gradients: bool) -> None:
    frames, batch = call.x.shape[:2]
    device, dtype = call.x.device, call.x.dtype
    path = dispatch.path(layout, device, dtype)
    loop = path != dispatch.STEP
    if loop:
        tiles = launch.loop_tiles(layout, batch, dtype, launch.processors(device))
        cut = (tiles.split, tiles.summed)
    else:
        tiles, cut = launch.step_tiles(layout, batch, dtype), None
    module = source.kernels(layout, call.reverse, dtype, gradients, cut)
    buffers = layout.backward if backward else layout.forward
    if loop and not layout.is_elementwise:
        # Counters of the waits, one for each group of programs: every launch begins at zero.
        tensors["sync"] = torch.zeros(batch, dtype=torch.int32, device=device)
    entries = launch.table(buffers, tensors, frames)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        if loop:
            launch.run_loop(layout, module, backward, entries, batch, tiles, device)
        else:
            launch.run_steps(layout, module, backward, entries, frames, batch, tiles, device)


def forward(call: Call) -> list[torch.Tensor]:
    """Runs a layer over a sequence.

    Arguments
    ---------
    call : Call
        What to run, of any of the dtypes of :func:`gatedrnn.engine.triton.dispatch.obstacle`.

    Returns
    -------
    list of torch.Tensor
        ``h`` and the step's sequences, (T, B, width), then the final states, (B, width). Gates are
        of the input's dtype, states and asked-for values of float32 at least.
    """
    layout = source.layout_of(call.step)
    tensors = _given(call, layout)
    if INPUT in call.params:
        tensors["gx"] = torch.matmul(call.x, call.params[INPUT].t())
    for name, buffer in layout.forward.items():
        if name.startswith(("q_", "final_")):
            tensors[name] = _empty(buffer, call)
    if layout.gammas:
        tensors["seed"] = torch.full((2,), call.seed, dtype=torch.int64, device=call.x.device)
    gradients = any(s.backward.outputs for s in call.step.segments)
    _launch(call, layout, tensors, False, gradients)
    sequences = [tensors[f"q_{n}"] for n in ("h", *call.step.sequences)]
    return sequences + [tensors[f"final_{s}"].to(call.x.dtype) for s in call.state]


def backward(
    call: Call,
    stored: Mapping[str, torch.Tensor],
    gradients: Mapping[str, torch.Tensor | None],
    finals: Mapping[str, torch.Tensor | None],
    want_x: bool,
) -> list[torch.Tensor]:
    """The gradient of :func:`forward`.

    Arguments
    ---------
    call : Call
        As the forward had it.
    stored : Mapping
        The sequences that the forward returned, by name.
    gradients : Mapping
        Of ``h`` and of the asked-for values.
    finals : Mapping
        Of the final states.
    want_x : bool
        Whether the input's gradient is wanted.

    Returns
    -------
    list of torch.Tensor
        Gradients of the input (or an empty tensor), the packed parameters, the initial states and
        the sequences from below.
    """
    layout, step = source.layout_of(call.step), call.step
    tensors = _given(call, layout)
    tensors |= {f"q_{n}": _aligned(t) for n, t in stored.items()}
    for draw in step.draws:
        slope = torch._standard_gamma_grad(stored[draw.shape], stored[draw.draw])
        tensors[f"s_{draw.gradient}"] = slope
    for name, buffer in layout.backward.items():
        if name in tensors or buffer.dtype == INDEX:
            continue
        tensors[name] = _empty(buffer, call)
        if name.startswith("do_"):
            given = gradients.get(name[3:])
            tensors[name].zero_() if given is None else tensors[name].copy_(given)
        elif name.startswith("carry_"):
            given = finals.get(name[6:])
            tensors[name][1] = 0.0 if given is None else given
        elif name.startswith("dv_"):
            tensors[name].zero_()
    _launch(call, layout, tensors, True, True)
    after = _After(call, layout, tensors)
    dx = after.input() if want_x else call.x.new_empty(0)
    return [
        dx,
        *(after.parameter(n) for n in call.params),
        *(after.state(s) for s in call.state),
        *(tensors.get(f"d_{n}", torch.zeros_like(t)) for n, t in call.below.items()),
    ]


class _After:
    """The gradients that are made after the loop."""

    def __init__(self, call: Call, layout: Layout, tensors: Tensors) -> None:
        self.call, self.layout, self.tensors = call, layout, tensors
        self.step = call.step
        batch = torch.arange(call.x.shape[1], device=call.x.device)
        last = tensors["lengths"].to(torch.int64) - 1
        #: Gradients of the sums at each sequence's first frame, in its order of travel.
        self.begun = {
            i: tensors[f"dz_{i}"][last, batch] if call.reverse else tensors[f"dz_{i}"][0]
            for i, live in enumerate(layout.live)
            if live
        }

    def runs(self, origin: str) -> Iterator[tuple[int, slice, list[tuple[str, int]]]]:
        """Neighbouring sums of a segment that multiply the same vector.

        Yields the segment, the columns of their gradients, and (weight, its columns' start in the
        run) of all their terms.
        """
        for index, segment in enumerate(self.step.segments):
            width, found = segment.width, []
            for total in (*self.layout.live[index], None):
                terms = [
                    p.weight for p in segment.products if p.total == total and p.source == origin
                ]
                if terms:
                    found.append((self.layout.live[index].index(total), terms))
                elif found:
                    start = found[0][0]
                    columns = slice(start * width, (found[-1][0] + 1) * width)
                    yield (
                        index,
                        columns,
                        [(w, (k - start) * width) for k, weights in found for w in weights],
                    )
                    found = []

    def weights(self, members: list[tuple[str, int]], columns: slice) -> torch.Tensor:
        """The matrices of a run, under each other; those of one sum are added."""
        names: dict[int, list[str]] = {}
        for weight, start in members:
            names.setdefault(start, []).append(weight)
        rows = [sum(self.call.weight(w) for w in ws) for _, ws in sorted(names.items())]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def input(self) -> torch.Tensor:
        """Gradient of the input."""
        dx = self.tensors.get("d_x")
        for index, columns, members in self.runs("x"):
            part = self.tensors[f"dz_{index}"][..., columns] @ self.weights(members, columns)
            dx = part if dx is None else dx + part
        return torch.zeros_like(self.call.x) if dx is None else dx

    def state(self, name: str) -> torch.Tensor:
        """Gradient of an initial state."""
        frames = self.call.x.shape[0]
        total = self.tensors[f"carry_{name}"][(frames - 1) % 2]
        for index, columns, members in self.runs(f"{name}_prev"):
            part = self.begun[index][:, columns] @ self.weights(members, columns)
            total = total + part
        return total.to(self.call.x.dtype)

    def parameter(self, name: str) -> torch.Tensor:
        """Gradient of a packed parameter."""
        plan = self.step.plan
        out = torch.zeros_like(self.call.params[name])
        origins = [origin for origin, matrix in plan.matrices.items() if matrix == name]
        for origin in origins:
            for index, columns, members in self.runs(origin):
                block = self.product(
                    self.tensors[f"dz_{index}"][..., columns], index, columns, origin
                )
                for weight, start in members:
                    slot = plan.slots[weight]
                    out[slot.start : slot.stop] = block[start : start + slot.stop - slot.start]
        for vector, slot in plan.slots.items():
            if slot.parameter == name and not origins:
                value = self.vector(vector)
                if value is not None:
                    out[slot.start : slot.stop] = value
        return out

    def product(self, dz: torch.Tensor, index: int, columns: slice, origin: str) -> torch.Tensor:
        """Gradients of sums times what the sums multiplied, over all frames."""
        tensors, state = self.tensors, self.layout.state_of.get(origin)
        if state is None:
            values = tensors["in_x"] if origin == "x" else tensors.get(f"again_{origin}")
            values = tensors[f"q_{origin}"] if values is None else values
            return _outer(dz, values.to(dz.dtype))
        sequence = tensors[f"q_{state}"]
        later, earlier = (dz[:-1], sequence[1:]) if self.call.reverse else (dz[1:], sequence[:-1])
        # Past the end of a sequence both are zero, so only the first frame is missing.
        first = _outer(self.begun[index][:, columns], tensors[f"init_{state}"].to(dz.dtype))
        return first + _outer(later, earlier.to(dz.dtype)) if len(later) else first

    def vector(self, name: str) -> torch.Tensor | None:
        """Gradient of a weight vector."""
        width, total = self.step.widths[name], None
        if f"dv_{name}" in self.tensors:
            total = self.tensors[f"dv_{name}"].sum(0)
        for index, alias in self.layout.bias_like.get(name, ()):
            column = self.layout.live[index].index(alias) * width
            dz = self.tensors[f"dz_{index}"][..., column : column + width]
            part = dz.sum((0, 1), dtype=self.tensors["carry_h"].dtype)
            total = part if total is None else total + part
        return total


def _outer(dz: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return dz.flatten(0, -2).t() @ values.flatten(0, -2)


def _types(step: Step, dtype: torch.dtype) -> list[torch.dtype]:
    """Types of ``h`` and of the sequences that the forward returns."""
    layout, wide = source.layout_of(step), torch.promote_types(dtype, torch.float32)
    return [wide if layout.sequence_type(n) == WIDE else dtype for n in ("h", *step.sequences)]


RUNNERS = (
    Runner(
        name="triton",
        rank=20,
        obstacle=dispatch.obstacle,
        forward=forward,
        backward=backward,
        reason="kernels printed for this cell",
        types=_types,
    ),
)
