"""One recurrent layer as ONNX: the traced step of its cell, printed as nodes, inside a Scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from gatedrnn.cells.declaration import previous
from gatedrnn.engine import UnsupportedOperation
from gatedrnn.engine.segments import INPUT, VECTOR
from gatedrnn.engine.trace import Segment, trace
from gatedrnn.nnet import RecurrentLayer
from gatedrnn.tasks.asr.onnx.graph import Graph, print_program


@dataclass(frozen=True)
class Sums:
    """Sums of a segment that multiply the same vectors: one product serves them all."""

    totals: tuple[str, ...]
    matrices: dict[str, torch.Tensor]


class LayerPrinter:
    """Prints a layer into graphs: its step, or its loop over time."""

    def __init__(self, layer: RecurrentLayer, keep: Sequence[str], name: str) -> None:
        cell = layer.cell
        if cell.noise(False) or cell.samples(False):
            raise ValueError(f"{cell.label} samples noise in evaluation: it has no ONNX file")
        try:
            self.step = trace(cell, keep=keep, gradients=False)
        except UnsupportedOperation as error:
            raise ValueError(f"{cell.label} cannot be written as ONNX: {error}") from error
        self.keep, self.name, self.reverse = tuple(keep), name, layer.reverse
        self.states = cell.states()
        self._weights = layer.equation_weights()
        self._sums = [_sums(segment, self._weights) for segment in self.step.segments]
        inputs = {i for segment in self.step.segments for i in segment.forward.inputs}
        #: Whether the step reads its input outside of products.
        self._reads_input = any(i.kind == INPUT for i in inputs)

    def advance(
        self, graph: Graph, x: str, state: Mapping[str, str], below: Mapping[str, str]
    ) -> dict[str, str]:
        """Prints one frame.

        x: The layer's input, (batch, m).
        state: State -> its value before the frame, (batch, width).
        below: What the cell reads of the layer underneath, (batch, width).
        Returns: Value of the step -> (batch, width); states and ``keep`` are among them.
        """
        values = {"x": x, **below, **{previous(n): v for n, v in state.items()}}
        return self._advance(graph, values, self._hoist(graph, x))

    def scan(
        self,
        graph: Graph,
        x: str,
        below: Mapping[str, str],
        valid: str,
        zeros: Callable[[int], str],
    ) -> dict[str, str]:
        """Prints all frames.

        x: The layer's input, (time, batch, m).
        below: What the cell reads of the layer underneath, (time, batch, width).
        valid: Which frames belong to an utterance, (time, batch, 1).
        zeros: Width -> zeros of (batch, width).
        Returns: ``h`` and ``keep`` -> (time, batch, width). Past an utterance's end they are
            whatever they are.
        """
        # What the input contributes to every sum is one product for all frames, before the loop.
        sequences = self._hoist(graph, x) | dict(below)
        if self._reads_input:
            sequences["x"] = x
        if self.reverse:
            sequences["valid"] = valid
        body = Graph(f"{self.name}/")
        state = {n: body.input(previous(n), ["batch", w]) for n, w in self.states.items()}
        frame = {}
        for name in sequences:
            kind = "BOOL" if name == "valid" else "FLOAT"
            frame[name] = body.input(name, ["batch", None], kind)
        values = frame | {previous(n): v for n, v in state.items()}
        values = self._advance(body, values, frame)
        for name, width in self.states.items():
            new = values[name]
            if self.reverse:
                # The state waits at zero until the utterance's last frame. Forward nothing that
                # comes after its end is ever read.
                new = body.node("Where", frame["valid"], new, state[name])
            body.output(f"{name}_new", new, ["batch", width])
        kept = tuple(dict.fromkeys(("h", *self.keep)))
        for name in kept:
            body.output(name, values[name], ["batch", self.step.widths[name]])
        outputs = graph.nodes(
            "Scan",
            len(self.states) + len(kept),
            *(zeros(width) for width in self.states.values()),
            *sequences.values(),
            body=body.proto(self.name.replace("/", "_")),
            num_scan_inputs=len(sequences),
            scan_input_directions=[int(self.reverse)] * len(sequences),
            scan_output_directions=[int(self.reverse)] * len(kept),
        )
        return dict(zip(kept, outputs[len(self.states) :], strict=True))

    # ---- details ----------------------------------------------------------------------------

    def _hoist(self, graph: Graph, x: str) -> dict[str, str]:
        """The input's part of all sums."""
        return {
            _part(sums): self._product(graph, sums, "x", x)
            for group in self._sums
            for sums in group
            if "x" in sums.matrices
        }

    def _product(self, graph: Graph, sums: Sums, source: str, value: str) -> str:
        # A sum is made once in a step, so its name tells its matrices apart.
        name = f"{self.name}/weight/{sums.totals[0]}/{source}"
        return graph.node("MatMul", value, graph.weight(name, sums.matrices[source]))

    def _advance(
        self, graph: Graph, values: Mapping[str, str], hoisted: Mapping[str, str]
    ) -> dict[str, str]:
        values = dict(values)
        for segment, group in zip(self.step.segments, self._sums, strict=True):
            for sums in group:
                values |= self._total(graph, sums, segment.width, values, hoisted)
            vectors = {
                i.name: graph.weight(f"{self.name}/weight/{i.name}", self._weights[i.name])
                for i in segment.forward.inputs
                if i.kind == VECTOR
            }
            values |= print_program(graph, segment.forward, values, vectors, segment.width)
        return values

    def _total(
        self,
        graph: Graph,
        sums: Sums,
        width: int,
        values: Mapping[str, str],
        hoisted: Mapping[str, str],
    ) -> dict[str, str]:
        parts = []
        for source in sums.matrices:
            if source == "x":
                parts.append(hoisted[_part(sums)])
            else:
                parts.append(self._product(graph, sums, source, values[source]))
        total, *rest = parts
        for part in rest:
            total = graph.node("Add", total, part)
        count = len(sums.totals)
        if count == 1:
            return {sums.totals[0]: total}
        sizes = graph.constant([width] * count)
        names = graph.nodes("Split", count, total, sizes, axis=-1)
        return dict(zip(sums.totals, names, strict=True))


def _part(sums: Sums) -> str:
    """Name of what the input contributes to some sums."""
    return f"sum/{sums.totals[0]}"


def _sums(segment: Segment, weights: Mapping[str, torch.Tensor]) -> list[Sums]:
    """A segment's sums, those together that have the same sources."""
    matrices: dict[str, dict[str, torch.Tensor]] = {total: {} for total in segment.totals}
    for product in segment.products:
        mine, weight = matrices[product.total], weights[product.weight]
        mine[product.source] = mine.get(product.source, 0.0) + weight
    together: dict[tuple[str, ...], list[str]] = {}
    for total, mine in matrices.items():
        together.setdefault(tuple(sorted(mine)), []).append(total)
    return [
        Sums(
            tuple(totals),
            {s: torch.cat([matrices[t][s] for t in totals]).T for s in sources},
        )
        for sources, totals in together.items()
    ]
