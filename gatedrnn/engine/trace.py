"""A cell's step as code that any printer can print: segments of scalar programs.

:func:`trace` merges the declared stages into *segments*. Everything a segment's sums multiply is
known when the segment begins: the input, previous states, and values of EARLIER segments. A runner
therefore does, for every frame and every segment in turn,

1. the matrix products of :attr:`Segment.products` (those of ``x`` for all frames beforehand);
2. :attr:`Segment.forward`, a scalar :class:`~gatedrnn.engine.ir.Program` for each unit of each
   sequence;

and only between segments, and between frames, need the units of a layer hear of each other. The
backward goes through frames and segments in reverse: it runs :attr:`Segment.backward`, then hands
``gradient of a sum`` times the transposed matrix to each product's source. The gradient of a matrix
is the product, after the loop, of its sum's gradients and its source over all frames.

Kinds of a program's inputs, and where a runner finds them:

=============  ===================================================================================
kind           the value of this unit of this sequence at this frame
=============  ===================================================================================
``total``      a sum of products (forward only)
``previous``   ``NAME_prev``: state NAME after the previous frame, or the initial state
``input``      ``x``
``below``      a sequence of the layer underneath
``noise``      a sequence drawn before the loop
``vector``     a weight vector: one number for each unit, the same for all frames and sequences
``earlier``    a value an earlier segment of the same frame made (forward only)
``saved``      a sequence the forward stored (backward only); ``h`` is the layer's output
``gradient``   ``grad:NAME``: the gradient of a value this segment made, summed over its uses
``gamma_grad``  d draw / d shape of a Gamma draw, see :class:`Draw` (backward only)
=============  ===================================================================================

Outputs of a forward program are named as the values. Those of a backward program are ``grad:NAME``
for every differentiable input of the forward (for ``vector`` to be summed over frames and
sequences), and ``value:NAME`` for a product's source that was not stored and is computed again.
A gradient that is always zero is left out. Padded frames run no program: the state stays, every
gradient of theirs is zero and a state's gradient passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gatedrnn.cells.declaration import Cell, previous
from gatedrnn.engine import segments as cutting
from gatedrnn.engine.cut import smallest_cut
from gatedrnn.engine.ir import Operand, Program, rebuild
from gatedrnn.engine.plan import Plan
from gatedrnn.engine.plan import plan as make_plan
from gatedrnn.engine.segments import (
    EARLIER,
    GAMMA_GRAD,
    GRADIENT,
    PREVIOUS,
    SAVED,
    TOTAL,
    Draft,
    UnsupportedOperation,
    grad,
)
from gatedrnn.engine.sharing import traced

__all__ = ["Draw", "Product", "Segment", "Step", "UnsupportedOperation", "grad", "trace"]


@dataclass(frozen=True)
class Product:
    """One matrix product of a segment.

    Arguments
    ---------
    total : str
        Sum it belongs to.
    weight : str
        The matrix.
    source : str
        ``"x"``, ``"NAME_prev"`` or a value of an earlier segment.
    """

    total: str
    weight: str
    source: str


@dataclass(frozen=True)
class Draw:
    """A Gamma draw: names of the stored shape and draw, and of the input that is their gradient."""

    shape: str
    draw: str
    gradient: str


@dataclass(frozen=True)
class Segment:
    """A part of the step between two exchanges.

    Arguments
    ---------
    width : int
        Units of every value in it.
    totals : tuple of str
        Sums, in order.
    products : tuple of Product
        Their terms, grouped by sum.
    forward, backward : Program
        See the module. ``backward`` is empty where no gradients were asked for.
    stores : tuple of str
        Sequences of the step that this segment writes.
    """

    width: int
    totals: tuple[str, ...]
    products: tuple[Product, ...]
    forward: Program
    backward: Program
    stores: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A traced cell.

    Arguments
    ---------
    plan : Plan
        The cell and the layout of its weights.
    segments : tuple of Segment
        The step.
    keep : tuple of str
        Values asked for, except ``h``.
    sequences : tuple of str
        Sequences the forward writes beside ``h``: those of ``keep`` first, then what the backward
        needs.
    widths : dict
        Width of every value, stored sequence, state and vector by name.
    home : dict
        Value -> index of the segment that makes it.
    recomputed : tuple of str
        Products' sources that the backward computes again.
    draws : tuple of Draw
        Gamma draws of the step.
    """

    plan: Plan
    segments: tuple[Segment, ...]
    keep: tuple[str, ...]
    sequences: tuple[str, ...]
    widths: dict[str, int]
    home: dict[str, int]
    recomputed: tuple[str, ...]
    draws: tuple[Draw, ...]


@lru_cache(maxsize=1024)
def _joints(cell: Cell, training: bool) -> list[tuple[Draft, tuple]]:
    plan = make_plan(cell, training)
    return [(draft, traced(plan, draft)) for draft in cutting.split(plan)]


_STEPS: dict[tuple, Step] = {}


def trace(
    cell: Cell, training: bool = False, keep: Sequence[str] = (), gradients: bool = True
) -> Step:
    """Traces a cell's step. The result is cached: asking again costs nothing.

    Arguments
    ---------
    cell : Cell
        The declaration.
    training : bool
        Mode (only stochastic gates care).
    keep : sequence of str
        Values of the step whose sequences are wanted.
    gradients : bool
        Whether the backward is wanted.

    Returns
    -------
    Step

    Raises
    ------
    UnsupportedOperation
        If a pointwise function cannot be written as scalar operations; the message names the
        operator, the cell and the cure.

    Example
    -------
    >>> from gatedrnn.cells import LSTMP
    >>> step = trace(LSTMP(input_size=3, hidden_size=8, proj_size=4))
    >>> [segment.totals for segment in step.segments]
    [('z_i', 'z_f', 'z_c', 'z_o'), ('h',)]
    >>> step.sequences, step.recomputed
    (('saved0', 'c', 'o', 'i', 'f'), ('m',))
    """
    key = (cell, training, tuple(keep), gradients)
    if key not in _STEPS:
        plan = make_plan(cell, training)
        wanted = tuple(name for name in dict.fromkeys(keep) if name != "h")
        _STEPS[key] = _assemble(plan, wanted, gradients)
    return _STEPS[key]


def _assemble(plan: Plan, keep: tuple[str, ...], gradients: bool) -> Step:
    parts = _joints(plan.cell, plan.training)
    home = {name: i for i, (draft, _) in enumerate(parts) for name in draft.values}
    widths = {name: parts[i][0].width for name, i in home.items()}
    widths |= plan.cell.states() | {"x": plan.cell.input_size} | plan.cell.below()
    widths |= {n: s[0] for n, s in plan.cell.weights().items() if len(s) == 1}
    sources = {t.source for draft, _ in parts for ts in draft.totals.values() for t in ts}
    passed = {n for draft, _ in parts for n, kind in draft.inputs.items() if kind == EARLIER}
    outside = {*plan.cell.states(), *keep, *passed, *(s for s in sources if s in home)}
    external = [tuple(n for n in draft.values if n in outside) for draft, _ in parts]
    codes = [_narrow(part, names) for part, names in zip(parts, external, strict=True)]
    saver = _Saver(plan, [draft for draft, _ in parts], codes, sources, {"h", *keep})
    if gradients:
        saver.decide()
    segments, sequences = [], dict.fromkeys(keep)
    for index, (draft, _) in enumerate(parts):
        saved = saver.saved[index]
        stores = [n for n in draft.values if n in keep]
        stores += [n for n in saved if n not in keep and n != "h"]
        sequences |= dict.fromkeys(stores)
        widths |= dict.fromkeys(stores, draft.width)
        outputs = {n: codes[index].outputs[f"value:{n}"] for n in external[index]} | saved
        products = [
            Product(total, t.weight, t.source) for total, ts in draft.totals.items() for t in ts
        ]
        code = codes[index]
        segments.append(
            Segment(
                draft.width,
                tuple(draft.totals),
                tuple(products),
                rebuild(code.body, code.inputs, outputs),
                saver.backwards[index],
                tuple(stores),
            )
        )
    stored = {"h", *sequences}
    again = tuple(n for n in home if gradients and n in sources and n not in stored)
    return Step(
        plan, tuple(segments), keep, tuple(sequences), widths, home, again, tuple(saver.draws)
    )


def _narrow(part: tuple[Draft, tuple], external: Sequence[str]) -> Program:
    """A joint trace in which only the values seen from outside have a gradient."""
    draft, (builder, values, gradients) = part
    outputs = {f"value:{n}": v for n, v in values.items()}
    outputs |= {grad(n): v for n, v in gradients.items()}
    silent = {grad(n): 0.0 for n in draft.values if n not in external}
    return rebuild(builder.body.values(), builder.inputs.values(), outputs, silent)


class _Saver:
    """Decides, from the last segment to the first, what the forward stores for the backward."""

    def __init__(self, plan, drafts, codes, sources, stored) -> None:
        self.drafts, self.codes, self.sources = drafts, codes, sources
        self.home = {n: i for i, draft in enumerate(drafts) for n in draft.values}
        self.states = {previous(s): s for s in plan.cell.states()}
        self.stored: set[str] = set(stored)
        #: Of each segment: name of each stored value -> operand.
        self.saved: list[dict[str, Operand]] = [{} for _ in drafts]
        self.backwards = [Program((), (), {})] * len(drafts)
        self.draws: list[Draw] = []
        self._fresh = 0

    def decide(self) -> None:
        self.stored |= {self.states[s] for s in self.sources if s in self.states}
        for code in self.codes:
            # A state is stored where its previous value is itself a factor of some gradient.
            self.stored |= {self.states[n] for n in _used_late(code) if n in self.states}
        for index in reversed(range(len(self.drafts))):
            self._decide(index)
        for index, draft in enumerate(self.drafts):
            for name in draft.values:
                if name in self.stored and name != "h":
                    self.saved[index][name] = self.codes[index].outputs[f"value:{name}"]

    def _decide(self, index: int) -> None:
        draft, code = self.drafts[index], self.codes[index]
        made = {n: code.outputs[f"value:{n}"] for n in draft.values}
        late = _late(code)
        body = [one for one in code.body if one.result not in late]
        known = {one.result for one in body} | set(draft.inputs)
        wanted = {v for n, v in code.outputs.items() if n.startswith("grad:")}
        wanted |= {made[n] for n in draft.values if n in self.sources}
        needed = (_used_late(code) | {v for v in wanted if isinstance(v, str)}) & known
        names = {v: n for n, v in reversed(made.items()) if isinstance(v, str)}
        names |= {v: n for n, v in made.items() if n in self.stored and isinstance(v, str)}
        given, kinds = {}, {}

        forced = set()
        for one in code.body:
            if one.op == "gamma_grad":
                name = f"gamma_grad{len(self.draws)}"
                given[one.result], kinds[name] = name, GAMMA_GRAD
                shape, draw = (self._name(names, index, a) for a in one.args)
                forced |= set(one.args)
                self.draws.append(Draw(shape, draw, name))
        free = {v for n, v in made.items() if n in self.stored and isinstance(v, str)} | forced
        lost = {n for n, kind in draft.inputs.items() if self._is_lost(n, kind)}
        for operand in sorted(smallest_cut(body, lost, needed, free) | free):
            kind = draft.inputs.get(operand)
            if kind == PREVIOUS:
                self.stored.add(self.states[operand])
            else:
                name = self._name(names, self.home.get(operand, index), operand)
                given[operand], kinds[name] = name, SAVED
        for operand in sorted(n for n, kind in draft.inputs.items() if kind == EARLIER):
            # Stored by the segment that made it.
            given[operand], kinds[operand] = operand, SAVED
        gradients = {n: v for n, v in code.outputs.items() if n.startswith("grad:") and v != 0.0}
        again = [n for n in draft.values if n in self.sources and n not in self.stored]
        outputs = gradients | {f"value:{n}": made[n] for n in again}
        self.backwards[index] = rebuild(code.body, code.inputs, outputs, given, kinds)

    def _is_lost(self, name: str, kind: str) -> bool:
        if kind == PREVIOUS:
            return self.states[name] not in self.stored
        return kind == TOTAL or (kind == EARLIER and name not in self.stored)

    def _name(self, names: dict[Operand, str], index: int, operand: str) -> str:
        """The name under which an operand is stored; tells the segment to store it."""
        if operand not in names:
            if operand in self.home:
                names[operand] = operand
            else:
                names[operand] = f"saved{self._fresh}"
                self._fresh += 1
        name = names[operand]
        if name != "h":
            self.stored.add(name)
            value = self.codes[index].outputs.get(f"value:{name}", operand)
            self.saved[index][name] = value
        return name


def _late(code: Program) -> set[str]:
    """Values that depend on a gradient."""
    late = {one.name for one in code.inputs if one.kind == GRADIENT}
    for one in code.body:
        if one.op == "gamma_grad" or not late.isdisjoint(one.args):
            late.add(one.result)
    return late


def _used_late(code: Program) -> set[str]:
    """What instructions that depend on a gradient use beside gradients."""
    late = _late(code)
    used = {
        a
        for one in code.body
        if one.result in late and one.op != "gamma_grad"
        for a in one.args
        if isinstance(a, str)
    }
    return used - late
