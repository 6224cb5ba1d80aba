"""What happens inside the steps of a model's recurrent layers: values, and what depends on them.

The layers run by the reference, whose pointwise functions are the cells' own; here they only note
what goes in and comes out. No equation is written a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine import noise, reference
from gatedrnn.engine.plan import Plan, PlannedStage, plan
from gatedrnn.engine.types import Result
from gatedrnn.nnet.layer import RecurrentLayer


@dataclass
class Trace:
    """One run of one layer over a batch of sequences.

    Arguments
    ---------
    layer : str
        Name of the layer in the model.
    cell : Cell
        The recurrence.
    sums : tuple of str
        Names of the sums of matrix products: what gates are made of.
    lengths : torch.Tensor or None
        Valid frames of each sequence.
    values : dict
        Name -> one tensor (batch, units) for each frame, as it stands in the autograd graph: the
        sums, the states before the frame (``c_prev``), and all that the cell's stages return.
    """

    layer: str
    cell: Cell
    sums: tuple[str, ...]
    lengths: torch.Tensor | None
    values: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def valid(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """Values of the frames that lie within their sequences.

        Arguments
        ---------
        values : sequence of torch.Tensor
            One (batch, units) for each frame.

        Returns
        -------
        torch.Tensor
            (valid frames of all sequences, units), detached.
        """
        stacked = torch.stack([value.detach() for value in values])
        if self.lengths is None:
            return stacked.flatten(0, 1)
        frames = torch.arange(len(stacked), device=stacked.device).unsqueeze(1)
        return stacked[frames < self.lengths]

    def sources(self, name: str) -> tuple[str, ...]:
        """The sums that a value depends on within its frame.

        Arguments
        ---------
        name : str
            Of a value.

        Returns
        -------
        tuple of str
        """
        value, places = self.values[name][0], [self.values[s][0] for s in self.sums]
        if not value.requires_grad or not places:
            return ()
        found = torch.autograd.grad(value.sum(), places, retain_graph=True, allow_unused=True)
        return tuple(s for s, g in zip(self.sums, found, strict=True) if g is not None)

    def slopes(self, name: str) -> dict[str, list[torch.Tensor]]:
        """Derivatives of a value by its sums, within each frame and unit.

        Arguments
        ---------
        name : str
            Of a value that is computed unit by unit, such as a gate.

        Returns
        -------
        dict
            Sum -> one tensor (batch, units) for each frame.
        """
        sums = self.sources(name)
        found: dict[str, list[torch.Tensor]] = {s: [] for s in sums}
        for frame, value in enumerate(self.values[name]):
            places = [self.values[s][frame] for s in sums]
            # Units do not touch each other within a frame: the sum's gradient is each one's own.
            for s, g in zip(
                sums, torch.autograd.grad(value.sum(), places, retain_graph=True), strict=True
            ):
                found[s].append(g)
        return found


@contextmanager
def recording(model: nn.Module) -> Iterator[list[Trace]]:
    """Has a model's recurrent layers note what happens in their steps.

    Arguments
    ---------
    model : torch.nn.Module
        Any with recurrent layers of this package; it may be one itself.

    Returns
    -------
    list of Trace
        One for each run of a layer, in their order.

    Raises
    ------
    ValueError
        If the model has no such layer.

    Example
    -------
    >>> from gatedrnn.nnet import RAN
    >>> net = RAN(4, input_size=3, num_layers=2)
    >>> with recording(net) as traces:
    ...     _ = net(torch.rand(2, 5, 3))
    >>> [trace.layer for trace in traces], traces[0].sums
    (['layers.0.0', 'layers.1.0'], ('ctil', 'z_i', 'z_f'))
    >>> i, f = (torch.stack(traces[0].values[gate]) for gate in "if")
    >>> i.shape
    torch.Size([5, 2, 4])
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, RecurrentLayer)}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no recurrent layer of this package")
    traces: list[Trace] = []
    for name, layer in layers.items():
        layer.forward = partial(_run, name, layer, traces)
    try:
        yield traces
    finally:
        for layer in layers.values():
            del layer.forward


def _run(
    name: str,
    layer: RecurrentLayer,
    traces: list[Trace],
    x: torch.Tensor,
    state: Mapping[str, torch.Tensor] | None = None,
    lengths: torch.Tensor | None = None,
    below: Mapping[str, torch.Tensor] | None = None,
    keep: Sequence[str] = (),
) -> Result:
    """A layer's forward, by the reference."""
    cell = layer.cell
    planned = plan(cell, layer.training)
    sums = tuple(total for stage in planned.stages for total in stage.terms)
    trace = Trace(name, cell, sums, lengths)
    traces.append(trace)
    if lengths is not None:
        # As the engine does: a sampler's noise depends on what it has drawn for the padding.
        past = torch.arange(len(x), device=x.device).unsqueeze(1) >= lengths
        x = x.masked_fill(past.unsqueeze(2), 0.0)
    if state is None:
        state = {n: x.new_zeros(x.shape[1], width) for n, width in cell.states().items()}
    generator = layer._noise(x.device) if layer.training else None
    result = reference.run(
        _watched(planned, trace),
        dict(layer.named_parameters(recurse=False)),
        x,
        state,
        below=below or {},
        lengths=lengths,
        reverse=layer.reverse,
        keep=keep,
        generator=noise.generator_of(generator, x.device),
    )
    if layer.reverse:
        trace.values = {n: values[::-1] for n, values in trace.values.items()}
    return result


def _watched(planned: Plan, trace: Trace) -> Plan:
    """A plan whose pointwise functions tell a trace what they see."""
    stages = tuple(
        stage
        if stage.stage.pointwise is None
        else replace(stage, stage=replace(stage.stage, pointwise=partial(_note, stage, trace)))
        for stage in planned.stages
    )
    return replace(planned, stages=stages)


def _note(planned: PlannedStage, trace: Trace, **arguments: Any) -> Any:
    for argument, name in planned.arguments.items():
        if name in planned.terms or name.endswith("_prev"):
            _append(trace, name, arguments[argument])
    returned = planned.stage.pointwise(**arguments)
    for name, value in zip(planned.stage.returns, returned, strict=True):
        _append(trace, name, value)
    return returned


def _append(trace: Trace, name: str, value: torch.Tensor) -> None:
    """Notes a value once a frame, though several stages may take it."""
    found = trace.values.setdefault(name, [])
    if not found or found[-1] is not value:
        found.append(value)
