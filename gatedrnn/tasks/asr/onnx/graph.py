"""ONNX graphs under construction, and scalar programs of cells as ONNX nodes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch

from gatedrnn.engine.ir import Operand, Program
from gatedrnn.lazy import MissingExtraError

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


def _operation(graph: Graph, op: str, args: list[str]) -> str:
    if op == "expm1":
        return graph.node("Sub", graph.node("Exp", *args), graph.constant(1.0))
    if op == "log1p":
        return graph.node("Log", graph.node("Add", *args, graph.constant(1.0)))
    if op == "ne":
        return graph.node("Not", graph.node("Equal", *args))
    return graph.node(OPERATORS[op], *args)
