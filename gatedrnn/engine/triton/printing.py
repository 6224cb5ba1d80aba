"""Prints scalar programs as Triton code, and the few functions that the printed code calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gatedrnn.engine.ir import Operand, Program

#: How an operation is written; ``{0}`` and so on are its operands.
EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "maximum": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "neg": "-{0}",
    "abs": "tl.abs({0})",
    "exp": "tl.exp({0})",
    "expm1": "_expm1({0})",
    "log": "tl.log({0})",
    "log1p": "_log1p({0})",
    "sqrt": "tl.sqrt({0})",
    "sigmoid": "1.0 / (1.0 + tl.exp(-{0}))",
    "tanh": "_tanh({0})",
    "softplus": "_softplus({0})",
    "sgn": "tl.where({0} > 0, 1.0, 0.0) - tl.where({0} < 0, 1.0, 0.0)",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "not": "{0} ^ True",
    "where": "tl.where({0}, {1}, {2})",
}
#: Operations whose constants must be tensors: a bare number would be taken for a float32.
_FULL = ("where", "maximum", "minimum")

PREAMBLE = """
@triton.jit
def _tanh(x):
    a = tl.abs(x)
    e = tl.exp(-2.0 * a)
    large = (1.0 - e) / (1.0 + e)
    y = tl.where(x < 0, -large, large)
    if WIDE_BITS == 32:
        # Near zero the quotient above cancels.
        s = x * x
        # (tanh(x) / x - 1) / x^2, fitted in x^2 at Chebyshev nodes of [0, 0.36].
        p = -0.006271561762 * s + 0.02111230457
        p = (p * s - 0.05387408246) * s + 0.13332913446
        near = x + x * s * (p * s - 0.33333330146)
        y = tl.where(a < 0.6, near, y)
    return y


@triton.jit
def _log1p(x):
    # Exact to rounding however u is rounded; where u is 1, log1p(x) is x.
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / tl.where(u == 1.0, u, u - 1.0)))


@triton.jit
def _expm1(x):
    u = tl.exp(x)
    d = u - 1.0
    near = (u != 1.0) & (d != -1.0) & (tl.abs(x) < 1.0)
    return tl.where(near, d * (x / tl.log(tl.where(near, u, 2.0))), tl.where(u == 1.0, x, d))


@triton.jit
def _softplus(x):
    return tl.where(x > 0, x, 0.0) + _log1p(tl.exp(-tl.abs(x)))


@triton.jit
def _cos_turns(u):
    # The cosine of u turns, 0 <= u <= 1: a sine of at most a quarter turn, as its series. The
    # library's takes any angle, for which it needs local memory.
    y = 6.283185307179586 * (tl.abs(u - 0.5) - 0.25)
    s = y * y
    p = s * (1.0 / 362880.0 - s / 39916800.0) - 1.0 / 5040.0
    return y * (1.0 + s * (s * (s * p + 1.0 / 120.0) - 1.0 / 6.0))


@triton.jit
def _gamma(a, seed, element, frame, stream):
    # Marsaglia and Tsang: a normal deviate is squeezed and accepted with probability above 0.95,
    # so after ten attempts less than one draw in 10^13 is none. A shape below 1 is raised by 1
    # and the draw multiplied by U^(1/a).
    d = tl.where(a < 1.0, a + 1.0, a) - 1.0 / 3.0
    c = 1.0 / tl.sqrt(9.0 * d)
    draw = d
    boost = tl.zeros_like(a)
    done = a != a
    for attempt in range(10):
        r0, r1, r2, r3 = tl.philox(
            seed, element, frame, stream * 16 + attempt, tl.zeros_like(element)
        )
        # 24 bits and a half: neither 0 nor 1.
        u0 = ((r0 >> 8).to(tl.float32) + 0.5) * 5.9604644775390625e-08
        u1 = ((r1 >> 8).to(tl.float32) + 0.5) * 5.9604644775390625e-08
        u2 = ((r2 >> 8).to(tl.float32) + 0.5) * 5.9604644775390625e-08
        u3 = ((r3 >> 8).to(tl.float32) + 0.5) * 5.9604644775390625e-08
        normal = tl.sqrt(-2.0 * tl.log(u0)) * _cos_turns(u1)
        v = 1.0 + c * normal
        v = v * v * v
        positive = v > 0.0
        bound = 0.5 * normal * normal + d - d * v + d * tl.log(tl.where(positive, v, 1.0))
        accept = positive & (tl.log(u2) < bound) & (done == 0)
        draw = tl.where(accept, d * v, draw)
        boost = tl.where(accept, u3, boost)
        done = done | accept
    boost = tl.where(boost > 0.0, boost, 0.5)
    draw = tl.where(a < 1.0, draw * tl.exp(tl.log(boost) / a), draw)
    return tl.maximum(draw, 1.1754943508222875e-38)


@triton.jit
def _barrier(counter, goal):
    # Both block barriers are needed: the first orders all threads' stores before the release,
    # the second keeps all threads' loads (and the compiler's prefetches) behind the acquire.
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="release", scope="gpu")
    while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < goal:
        pass
    tl.debug_barrier()
"""


class Lines:
    """Lines of code with indentation.

    Arguments
    ---------
    depth : int
        Indentation to begin with, in levels.

    Example
    -------
    >>> lines = Lines(0)
    >>> with lines.block("if n < T:"):
    ...     lines.add("pass")
    >>> print(lines)
    if n < T:
        pass
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self.lines: list[str] = []

    def add(self, *texts: str) -> None:
        """Adds lines at the present depth."""
        self.lines += ["    " * self.depth + text for text in texts]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Adds a head; what is added inside stands below it."""
        self.add(head)
        self.depth += 1
        yield
        self.depth -= 1

    def __str__(self) -> str:
        return "\n".join(self.lines)


def number(value: float | bool) -> str:
    """A constant as Triton reads it.

    Arguments
    ---------
    value : float or bool

    Returns
    -------
    str

    Example
    -------
    >>> number(0.5), number(float("inf")), number(True)
    ('0.5', 'float("inf")', 'True')
    """
    if isinstance(value, bool):
        return repr(value)
    text = repr(float(value))
    return text if text[-1].isdigit() else f'float("{text}")'


def print_program(
    lines: Lines,
    program: Program,
    inputs: Mapping[str, str],
    prefix: str,
    shape: str,
    wide: str,
    gamma: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Prints a program's instructions.

    Arguments
    ---------
    lines : Lines
        Where to.
    program : Program
        The program.
    inputs : Mapping
        Name of each input -> the variable that holds it.
    prefix : str
        Beginning of the variables it makes.
    shape : str
        Shape of a tile, as code.
    wide : str
        Type it computes in, as code.
    gamma : Mapping or None
        Result of each draw -> arguments of the draw after its shape.

    Returns
    -------
    dict
        Name of each output -> the variable or constant tile.

    Example
    -------
    >>> from gatedrnn.engine.ir import Builder
    >>> b = Builder()
    >>> program = b.program({"h": b.sub(1.0, b.input("z", "total"))})
    >>> lines = Lines(0)
    >>> print_program(lines, program, {"z": "acc"}, "f0_", "(16, 16)", "tl.float32"), str(lines)
    ({'h': 'f0_v0'}, 'f0_v0 = 1.0 - acc')
    """
    known = dict(inputs)

    def full(value: float) -> str:
        return f"tl.full({shape}, {number(value)}, {wide})"

    def text(operand: Operand, whole: bool) -> str:
        if isinstance(operand, str):
            return known[operand]
        if isinstance(operand, bool) or not whole:
            # A negative number would bind less tightly than what precedes it.
            return number(operand) if operand >= 0 else f"({number(operand)})"
        return full(operand)

    for one in program.body:
        known[one.result] = prefix + one.result
        args = [text(a, one.op in _FULL) for a in one.args]
        if one.op == "gamma":
            code = f"_gamma({args[0]}, {gamma[one.result]})"
        else:
            code = EXPRESSIONS[one.op].format(*args)
        lines.add(f"{known[one.result]} = {code}")
    return {
        name: known[value] if isinstance(value, str) else full(value)
        for name, value in program.outputs.items()
    }
