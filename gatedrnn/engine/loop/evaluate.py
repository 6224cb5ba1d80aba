"""Runs a traced program on tensors: the meaning of every scalar operation, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from gatedrnn.engine.ir import Program

OPERATIONS = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "neg": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": lambda z: torch.nn.functional.softplus(z, threshold=50.0),
    "sgn": torch.sgn,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq,
    "ne": torch.ne,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "where": torch.where,
}


def evaluate(
    program: Program,
    values: Mapping[str, torch.Tensor],
    like: torch.Tensor,
    generator: torch.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Runs a program on whole tensors.

    Arguments
    ---------
    program : Program
        The code.
    values : Mapping
        Name of each input -> tensor.
    like : torch.Tensor
        Of the shape and dtype of the results.
    generator : torch.Generator or None
        Source of Gamma draws.

    Returns
    -------
    dict
        Name of each output -> tensor of the shape of ``like``.

    Example
    -------
    >>> from gatedrnn.engine.ir import Builder
    >>> b = Builder()
    >>> double = b.program({"y": b.mul(b.input("x", "input"), 2.0)})
    >>> evaluate(double, {"x": torch.ones(2)}, torch.ones(2))
    {'y': tensor([2., 2.])}
    """
    known = {i.name: values[i.name] for i in program.inputs}

    def look(operand):
        return known[operand] if isinstance(operand, str) else like.new_tensor(operand)

    for one in program.body:
        args = [look(a) for a in one.args]
        if one.op == "gamma":
            known[one.result] = torch._standard_gamma(args[0], generator=generator)
        else:
            known[one.result] = OPERATIONS[one.op](*args)
    return {n: look(v).expand_as(like) for n, v in program.outputs.items()}
