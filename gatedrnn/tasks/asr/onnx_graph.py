"""ONNX graphs under construction; programs of cells and recurrent layers as ONNX nodes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from gatedrnn.cells.declaration import previous
from gatedrnn.engine import UnsupportedOperation
from gatedrnn.engine.ir import Operand, Program
from gatedrnn.engine.segments import INPUT, VECTOR
from gatedrnn.engine.trace import Segment, trace
from gatedrnn.lazy import MissingExtraError
from gatedrnn.nnet import RecurrentLayer

#: Scalar operation of :mod:`gatedrnn.engine.ir` -> the ONNX operator that does it. ``expm1``,
#: ``log1p`` and ``ne`` have none, and are made of two.
OPERATORS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "neg": "Neg",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softplus": "Softplus",
    "sgn": "Sign",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "where": "Where",
}
#: Version of ONNX's operators that files are written in, old enough for many runtimes.
OPSET = 18


def need(module: str) -> ModuleType:
    """Imports a package that only ONNX needs."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'ONNX files need {module}: pip install "gatedrnn[onnx]"'
        ) from error


class Graph:
    """Nodes, constants, inputs and outputs of a graph; values go by their names.

    Example
    -------
    >>> graph = Graph()
    >>> x = graph.input("x", ["batch", 3])
    >>> graph.output("y", graph.node("Mul", x, graph.constant(2.0)), ["batch", 3])
    >>> [node.op_type for node in graph.proto("double").node]
    ['Mul', 'Identity']
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._onnx = need("onnx")
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._constants: dict[str, str] = {}

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "FLOAT") -> str:
        """Declares an input and gives its value."""
        self._inputs.append(self._declare(self.prefix + name, shape, dtype))
        return self.prefix + name

    def output(
        self, name: str, value: str, shape: Sequence[int | str], dtype: str = "FLOAT"
    ) -> None:
        """Declares that a value is an output."""
        # The same value may be an input, or two outputs; one name may not.
        self._add("Identity", [value], [self.prefix + name], {})
        self._outputs.append(self._declare(self.prefix + name, shape, dtype))

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operation with one output and gives its value."""
        return self.nodes(op, 1, *inputs, **attributes)[0]

    def nodes(self, op: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Adds an operation and gives its outputs."""
        names = [f"{self.prefix}{op.lower()}_{len(self._nodes)}_{i}" for i in range(count)]
        self._add(op, list(inputs), names, attributes)
        return names

    def constant(self, value: bool | float | int | Sequence[int]) -> str:
        """A truth value, a number (float32), a whole number or a list of them (int64)."""
        dtype = {bool: np.bool_, float: np.float32}.get(type(value), np.int64)
        # True, 1 and 1.0 are equal, and so are 0.0 and -0.0; what is written down is not.
        key = f"{dtype.__name__} {value}"
        if key not in self._constants:
            name = f"{self.prefix}constant_{len(self._constants)}"
            self._constants[key] = self._store(name, np.asarray(value, dtype))
        return self._constants[key]

    def weight(self, name: str, value: torch.Tensor) -> str:
        """A weight of the model, in float32, under a name that no other graph uses."""
        if name not in self._weights:
            self._store(name, value.detach().to("cpu", torch.float32).contiguous().numpy())
        return name

    def proto(self, name: str) -> Any:
        """The finished graph."""
        return self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._weights.values())
        )

    # ---- details ----------------------------------------------------------------------------

    def _add(self, op: str, inputs: list[str], outputs: list[str], attributes: dict) -> None:
        # Of nodes without names some versions of onnxruntime make several of one name.
        node = self._onnx.helper.make_node(op, inputs, outputs, name=outputs[0], **attributes)
        self._nodes.append(node)

    def _store(self, name: str, array: np.ndarray) -> str:
        self._weights[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def _declare(self, name: str, shape: Sequence[int | str], dtype: str) -> Any:
        kind = getattr(self._onnx.TensorProto, dtype)
        return self._onnx.helper.make_tensor_value_info(name, kind, list(shape))


def print_program(
    graph: Graph,
    program: Program,
    values: Mapping[str, str],
    vectors: Mapping[str, str],
    width: int,
) -> dict[str, str]:
    """Prints the code of a segment.

    values: Name -> value, (batch, width); all inputs of the code but the vectors are there.
    Returns: Name of each output -> value, (batch, width).

    Example
    -------
    >>> from gatedrnn.engine.ir import Builder
    >>> b = Builder()
    >>> double = b.program({"y": b.mul(b.input("x", "input"), 2.0), "one": 1.0})
    >>> graph = Graph()
    >>> given = {"x": graph.input("x", ["batch", 3])}
    >>> print_program(graph, double, given, {}, 3)
    {'y': 'mul_0_0', 'one': 'expand_3_0'}
    """
    known, whole = dict(vectors), set()
    for source in program.inputs:
        if source.name not in vectors:
            known[source.name] = values[source.name]
            whole.add(source.name)

    def look(operand: Operand) -> str:
        return known[operand] if isinstance(operand, str) else graph.constant(operand)

    for node in program.body:
        known[node.result] = _operation(graph, node.op, [look(a) for a in node.args])
        if whole.intersection(node.args):
            whole.add(node.result)
    outputs = {}
    for name, operand in program.outputs.items():
        outputs[name] = look(operand)
        if operand not in whole:
            # A constant, or made of weights alone: the same for all of the batch.
            batch = graph.node("Shape", next(iter(values.values())), start=0, end=1)
            shape = graph.node("Concat", batch, graph.constant([width]), axis=0)
            outputs[name] = graph.node("Expand", outputs[name], shape)
    return outputs


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
            _input_sum(sums): self._product(graph, sums, "x", x)
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
                parts.append(hoisted[_input_sum(sums)])
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


def _operation(graph: Graph, op: str, args: list[str]) -> str:
    if op == "expm1":
        return graph.node("Sub", graph.node("Exp", *args), graph.constant(1.0))
    if op == "log1p":
        return graph.node("Log", graph.node("Add", *args, graph.constant(1.0)))
    if op == "ne":
        return graph.node("Not", graph.node("Equal", *args))
    return graph.node(OPERATORS[op], *args)


def _input_sum(sums: Sums) -> str:
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
