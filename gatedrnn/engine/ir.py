"""The small intermediate representation between a cell's pointwise functions and printed code.

A :class:`Program` is a straight line of scalar operations on one unit of one sequence: the printer
repeats it over units and batch in whatever way its device likes. There are no shapes, no loops and
no side effects. An operand is a name (``str``: an input, or the result of an earlier instruction)
or a constant (``float``; ``True``/``False`` where a condition is wanted).

====================================================  ============================================
operation                                             meaning
====================================================  ============================================
``add sub mul div maximum minimum``                   two operands (a NaN survives max and min)
``neg abs exp expm1 log log1p sqrt``                  one operand
``sigmoid tanh softplus``                             one operand; ``softplus = log(1 + exp(z))``
``sgn``                                               -1, 0 or 1
``lt le gt ge eq ne``                                 two operands; the result is a condition
``and or not``                                        of conditions
``where``                                             condition, value if true, value if false
``gamma``                                             a draw of Gamma(a, rate 1); never recomputed
``gamma_grad``                                        d draw / d a, of ``(a, draw)``
====================================================  ============================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Operand = str | float

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}
UNARY: dict[str, Callable[[float], float]] = {
    "neg": lambda a: -a,
    "abs": abs,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "sigmoid": lambda a: 1.0 / (1.0 + math.exp(-a)) if a > -700 else 0.0,
    "tanh": math.tanh,
    "softplus": lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
    "sgn": lambda a: float((a > 0) - (a < 0)),
    "not": lambda a: not a,
}
BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "maximum": max,
    "minimum": min,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    **COMPARISONS,
}
RANDOM = ("gamma", "gamma_grad")
CONDITIONS = (*COMPARISONS, "and", "or", "not")
_COMMUTATIVE = ("add", "mul", "maximum", "minimum", "and", "or", "eq", "ne")


@dataclass(frozen=True)
class Instruction:
    """One scalar operation.

    Arguments
    ---------
    result : str
        Name of its value.
    op : str
        A row of the module's table.
    args : tuple
        Operands.
    """

    result: str
    op: str
    args: tuple[Operand, ...]


@dataclass(frozen=True)
class Input:
    """A named value that a program is given.

    Arguments
    ---------
    name : str
        Its name in the program.
    kind : str
        Where a runner finds it; the kinds are listed in :mod:`gatedrnn.engine.trace`.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class Program:
    """Straight-line scalar code.

    Arguments
    ---------
    inputs : tuple of Input
        Exactly the inputs that the body or the outputs use.
    body : tuple of Instruction
        In an order in which every operand is there before it is used.
    outputs : dict
        Name of each output -> operand.
    """

    inputs: tuple[Input, ...]
    body: tuple[Instruction, ...]
    outputs: dict[str, Operand]

    def __str__(self) -> str:
        lines = [f"{i.name}: {i.kind}" for i in self.inputs]
        lines += [f"{i.result} = {i.op}({', '.join(map(str, i.args))})" for i in self.body]
        return "\n".join(lines + [f"{name} <- {value}" for name, value in self.outputs.items()])

    def kinds(self) -> dict[str, str]:
        """Name of each input -> its kind."""
        return {i.name: i.kind for i in self.inputs}

    def operations(self) -> set[str]:
        """All operations used."""
        return {i.op for i in self.body}


class Builder:
    """Collects instructions; folds constants and merges equal expressions as they come.

    Arguments
    ---------
    prefix : str
        Beginning of the names it makes.

    Example
    -------
    >>> b = Builder()
    >>> z = b.add(b.input("z", "total"), 0.0)
    >>> print(b.program({"h": b.emit("tanh", z)}))
    z: total
    v0 = tanh(z)
    h <- v0
    """

    def __init__(self, prefix: str = "v") -> None:
        self.prefix = prefix
        self.inputs: dict[str, Input] = {}
        self.body: dict[str, Instruction] = {}
        self._seen: dict[tuple, str] = {}

    def input(self, name: str, kind: str) -> str:
        """Declares an input and gives its operand."""
        self.inputs.setdefault(name, Input(name, kind))
        return name

    def emit(self, op: str, *args: Operand) -> Operand:
        """Adds an operation, or finds its value without one."""
        if op not in ("where", *CONDITIONS) or op in COMPARISONS:
            # A condition used as a number.
            args = tuple(
                self.emit("where", a, 1.0, 0.0) if self._op(a) in CONDITIONS else a for a in args
            )
        folded = self._fold(op, args)
        if folded is not None:
            return folded
        if op in _COMMUTATIVE:
            args = tuple(sorted(args, key=lambda a: (isinstance(a, str), str(a))))
        key = (op, tuple((type(a).__name__, a) for a in args))
        # Two draws from equal shapes are two draws.
        if op == "gamma" or key not in self._seen:
            self._seen[key] = f"{self.prefix}{len(self.body)}"
            self.body[self._seen[key]] = Instruction(self._seen[key], op, tuple(args))
        return self._seen[key]

    def add(self, a: Operand, b: Operand) -> Operand:
        """``a + b``."""
        return self.emit("add", a, b)

    def sub(self, a: Operand, b: Operand) -> Operand:
        """``a - b``."""
        return self.emit("sub", a, b)

    def mul(self, a: Operand, b: Operand) -> Operand:
        """``a * b``."""
        return self.emit("mul", a, b)

    def _fold(self, op: str, args: tuple[Operand, ...]) -> Operand | None:
        if op in RANDOM:
            return None
        if op == "where":
            condition, yes, no = args
            if not isinstance(condition, str):
                return yes if condition else no
            return yes if yes == no else None
        if not any(isinstance(a, str) for a in args):
            table = UNARY if len(args) == 1 else BINARY
            try:
                value = table[op](*args)
            except (ValueError, OverflowError, ZeroDivisionError):
                return None
            return value if op in CONDITIONS else float(value)
        if len(args) == 1 and op == "neg" and self._op(args[0]) == "neg":
            return self.body[args[0]].args[0]
        if len(args) == 2:
            return self._fold_pair(op, *args)
        return None

    def _fold_pair(self, op: str, a: Operand, b: Operand) -> Operand | None:
        if op == "add":
            if a == 0.0 or b == 0.0:
                return b if a == 0.0 else a
            if self._op(b) == "neg":
                return self.sub(a, self.body[b].args[0])
            if self._op(a) == "neg":
                return self.sub(b, self.body[a].args[0])
        elif op == "sub":
            if b == 0.0:
                return a
            if a == 0.0:
                return self.emit("neg", b)
            if a == b:
                return 0.0
            if self._op(b) == "neg":
                return self.add(a, self.body[b].args[0])
        elif op == "mul":
            if a == 0.0 or b == 0.0:
                return 0.0
            if a == 1.0 or b == 1.0:
                return b if a == 1.0 else a
            if a == -1.0 or b == -1.0:
                return self.emit("neg", b if a == -1.0 else a)
        elif op == "div":
            if b == 1.0:
                return a
            if a == 0.0:
                return 0.0
            if isinstance(b, float):
                # One rounding more than a division, within the last place.
                return self.mul(a, 1.0 / b)
        return None

    def _op(self, operand: Operand) -> str | None:
        if isinstance(operand, str) and operand in self.body:
            return self.body[operand].op
        return None

    def program(self, outputs: Mapping[str, Operand]) -> Program:
        """The code that the outputs need, and nothing else."""
        live: set[str] = {v for v in outputs.values() if isinstance(v, str)}
        kept = []
        for instruction in reversed(self.body.values()):
            if instruction.result in live:
                kept.append(instruction)
                live.update(a for a in instruction.args if isinstance(a, str))
        inputs = tuple(i for i in self.inputs.values() if i.name in live)
        return Program(inputs, tuple(reversed(kept)), dict(outputs))


def rebuild(
    body: Iterable[Instruction],
    inputs: Iterable[Input],
    outputs: Mapping[str, Operand],
    given: Mapping[str, Operand] | None = None,
    kinds: Mapping[str, str] | None = None,
    prefix: str = "v",
) -> Program:
    """Simplifies a program anew after some of its values became known or inputs.

    Arguments
    ---------
    body : iterable of Instruction
        The instructions.
    inputs : iterable of Input
        The inputs.
    outputs : Mapping
        Name -> operand.
    given : Mapping or None
        Value -> constant or input name that now stands for it.
    kinds : Mapping or None
        Kind of each input that ``given`` introduces.
    prefix : str
        Beginning of the new names.

    Returns
    -------
    Program

    Example
    -------
    >>> b = Builder()
    >>> y = b.emit("tanh", b.mul(b.input("g", "gradient"), b.input("z", "total")))
    >>> rebuild(b.body.values(), b.inputs.values(), {"h": y}, given={"g": 0.0}).outputs
    {'h': 0.0}
    """
    builder = Builder(prefix)
    known: dict[str, Operand] = {}
    for name, value in (given or {}).items():
        known[name] = builder.input(value, kinds[value]) if isinstance(value, str) else value
    for one in inputs:
        if one.name not in known:
            known[one.name] = builder.input(one.name, one.kind)

    def look(operand: Operand) -> Operand:
        return known[operand] if isinstance(operand, str) else operand

    for one in body:
        if one.result not in known:
            known[one.result] = builder.emit(one.op, *map(look, one.args))
    return builder.program({name: look(value) for name, value in outputs.items()})
