"""The loop: a frame at a time, no autograd graph, weight gradients in one product at the end."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gatedrnn.cells.declaration import Cell, previous
from gatedrnn.engine.loop.evaluate import evaluate
from gatedrnn.engine.operators import Call
from gatedrnn.engine.segments import UnsupportedOperation, grad
from gatedrnn.engine.select import Runner
from gatedrnn.engine.trace import Segment, trace


def _valid(call: Call, t: int) -> torch.Tensor | None:
    return None if call.lengths is None else (t < call.lengths).unsqueeze(1)


def _mask(valid: torch.Tensor | None, value: torch.Tensor, other=0.0) -> torch.Tensor:
    return value if valid is None else torch.where(valid, value, other)


def _order(call: Call) -> range:
    frames = call.x.shape[0]
    return range(frames - 1, -1, -1) if call.reverse else range(frames)


def _constant(call: Call) -> dict[str, torch.Tensor]:
    shapes = call.step.plan.cell.weights()
    return {n: call.weight(n) for n, shape in shapes.items() if len(shape) == 1}


def forward(call: Call) -> list[torch.Tensor]:
    """Runs a layer: its output, the step's sequences, the final states."""
    step, x = call.step, call.x
    frames, batch = x.shape[:2]
    generator = torch.Generator(x.device).manual_seed(call.seed)
    names = ("h", *step.sequences)
    rows = {n: x.new_zeros((frames, batch, step.widths[n])) for n in names}
    state = dict(call.state)
    hoisted = {
        p.total: torch.nn.functional.linear(x, call.weight(p.weight))
        for segment in step.segments
        for p in segment.products
        if p.source == "x"
    }
    sequences = {"x": x, **call.below, **call.noise}
    constant = _constant(call)
    for t in _order(call):
        values = constant | {previous(n): v for n, v in state.items()}
        values |= {n: s[t] for n, s in sequences.items()}
        valid = _valid(call, t)
        for segment in step.segments:
            totals = {n: s[t] for n, s in hoisted.items() if n in segment.totals}
            for p in segment.products:
                if p.source != "x":
                    product = torch.nn.functional.linear(values[p.source], call.weight(p.weight))
                    totals[p.total] = totals[p.total] + product if p.total in totals else product
            like = x.new_empty((batch, segment.width))
            values |= evaluate(segment.forward, values | totals, like, generator)
        for name, row in rows.items():
            row[t] = _mask(valid, values[name])
        state = {n: _mask(valid, values[n], old) for n, old in state.items()}
    return [*rows.values(), *(v.clone() for v in state.values())]


class _Backward:
    """The gradients of one call, gathered from the last frame to the first."""

    def __init__(self, call: Call, stored, gradients, finals) -> None:
        self.call, self.step, self.stored, self.outer = call, call.step, stored, gradients
        self.home = self.step.home
        x = call.x
        self.inputs = {"x": torch.zeros_like(x)}
        self.inputs |= {n: torch.zeros_like(s) for n, s in call.below.items()}
        self.vectors = {n: torch.zeros_like(v) for n, v in _constant(call).items()}
        self.carry = {
            n: torch.zeros_like(s) if finals[n] is None else finals[n]
            for n, s in call.state.items()
        }
        totals = [(t, s.width) for s in self.step.segments for t in s.totals]
        self.dz = {t: x.new_zeros((*x.shape[:2], width)) for t, width in totals}
        self.sources = {
            n: x.new_zeros((*x.shape[:2], self.step.widths[n])) for n in self.step.recomputed
        }
        self.draws = {
            d.gradient: torch._standard_gamma_grad(stored[d.shape].clamp_min(1e-30), stored[d.draw])
            for d in self.step.draws
        }

    def before(self, state: str, t: int) -> torch.Tensor:
        """A stored state before frame t."""
        call = self.call
        if call.reverse:
            if t + 1 == call.x.shape[0]:
                return call.state[state]
            valid = None if call.lengths is None else (t + 1 < call.lengths).unsqueeze(1)
            return _mask(valid, self.stored[state][t + 1], call.state[state])
        return call.state[state] if t == 0 else self.stored[state][t - 1]

    def frame(self, t: int) -> None:
        call, step = self.call, self.step
        valid = _valid(call, t)
        sequences = {"x": call.x, **call.below, **call.noise, **self.stored, **self.draws}
        values = _constant(call) | {n: s[t] for n, s in sequences.items()}
        stored = [n for n in call.state if n in self.stored]
        values |= {previous(n): self.before(n, t) for n in stored}
        carry, self.carry = self.carry, {n: torch.zeros_like(v) for n, v in self.carry.items()}
        inner: dict[str, torch.Tensor] = {}
        for segment in reversed(step.segments):
            self._segment(segment, t, valid, values, carry, inner)

    def _segment(self, segment: Segment, t, valid, values, carry, inner) -> None:
        call = self.call
        like = call.x.new_zeros((call.x.shape[1], segment.width))
        kinds = segment.backward.kinds()
        mine = [n for n, i in self.home.items() if self.step.segments[i] is segment]
        for name in mine:
            total = carry.get(name, 0.0) + inner.get(name, like)
            if valid is not None and name in self.carry:
                self.carry[name] += torch.where(valid, 0.0, total)
            if self.outer.get(name) is not None:
                total = total + self.outer[name][t]
            values[grad(name)] = total
        found = evaluate(segment.backward, {n: values[n] for n in kinds}, like)
        found = {n: _mask(valid, v) for n, v in found.items()}
        for name, value in found.items():
            kind, _, name = name.partition(":")
            if kind == "value":
                self.sources[name][t] = value
            elif name in self.dz and name in segment.totals:
                self.dz[name][t] = value
            elif name in self.vectors:
                self.vectors[name] += value.sum(0)
            elif name in self.inputs:
                self.inputs[name][t] += value
            elif name.removesuffix("_prev") in self.carry and name not in self.home:
                self.carry[name.removesuffix("_prev")] += value
            else:
                inner[name] = inner.get(name, 0.0) + value
        for p in segment.products:
            if p.source == "x":
                continue
            back = self.dz[p.total][t] @ call.weight(p.weight)
            if p.source in self.home:
                inner[p.source] = inner.get(p.source, 0.0) + back
            else:
                self.carry[p.source.removesuffix("_prev")] += back

    def source(self, name: str) -> torch.Tensor:
        """The sequence of what a product multiplies."""
        if name == "x":
            return self.call.x
        if name in self.home:
            return self.sources[name] if name in self.sources else self.stored[name]
        state = name.removesuffix("_prev")
        return torch.stack([self.before(state, t) for t in range(self.call.x.shape[0])])


def backward(
    call: Call,
    stored: Mapping[str, torch.Tensor],
    gradients: Mapping[str, torch.Tensor | None],
    finals: Mapping[str, torch.Tensor | None],
    want_x: bool,
) -> list[torch.Tensor]:
    """Gradients of x, of the packed parameters, of the initial states, of what lies below."""
    loop = _Backward(call, stored, gradients, finals)
    for t in reversed(_order(call)):
        loop.frame(t)
    dparams = {n: torch.zeros_like(p) for n, p in call.params.items()}
    for name, value in loop.vectors.items():
        call.step.plan.view(dparams, name).copy_(value)
    dx = loop.inputs.pop("x")
    for segment in call.step.segments:
        for p in segment.products:
            dz = loop.dz[p.total].flatten(0, 1)
            source = loop.source(p.source).flatten(0, 1)
            call.step.plan.view(dparams, p.weight).copy_(dz.T @ source)
            if p.source == "x" and want_x:
                dx += (dz @ call.weight(p.weight)).view_as(dx)
    dx = dx if want_x else call.x.new_empty(0)
    return [dx, *dparams.values(), *(v.clone() for v in loop.carry.values()), *loop.inputs.values()]


def _obstacle(cell: Cell, device: torch.device, dtype: torch.dtype, training: bool) -> str | None:
    try:
        trace(cell, training)
    except UnsupportedOperation as error:
        return str(error)
    return None if dtype.is_floating_point else f"{dtype} is not a floating-point type"


RUNNERS = (
    Runner(
        name="loop",
        rank=90,
        obstacle=_obstacle,
        forward=forward,
        backward=backward,
        reason="a Python loop with the traced backward",
        slow="install a C++ compiler (g++ or clang++), or name one in CXX",
    ),
)
