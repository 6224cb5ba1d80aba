"""Scalar programs as ONNX nodes on (batch, units) tensors."""

from __future__ import annotations

from collections.abc import Mapping

from gatedrnn.engine.ir import Operand, Program
from gatedrnn.tasks.asr.onnx.graph import Graph

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


def print_program(
    graph: Graph,
    program: Program,
    values: Mapping[str, str],
    vectors: Mapping[str, str],
    width: int,
) -> dict[str, str]:
    """Prints the code of a segment.

    Arguments
    ---------
    graph : Graph
        Where to.
    program : Program
        The code.
    values : Mapping
        Name -> value, (batch, width); all inputs of the code but the vectors are there.
    vectors : Mapping
        Name of each weight vector that the code reads -> value, (width,).
    width : int
        Units.

    Returns
    -------
    dict
        Name of each output -> value, (batch, width).

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
    for one in program.inputs:
        if one.name not in vectors:
            known[one.name] = values[one.name]
            whole.add(one.name)

    def look(operand: Operand) -> str:
        return known[operand] if isinstance(operand, str) else graph.constant(operand)

    for one in program.body:
        known[one.result] = _operation(graph, one.op, [look(a) for a in one.args])
        if whole.intersection(one.args):
            whole.add(one.result)
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
