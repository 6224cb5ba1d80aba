"""Where a traced step finds and leaves its data on a GPU, and which products it makes.

Every tensor that a kernel touches is a row of a :class:`Layout`; kernels get one table of addresses
instead of many arguments, so that a CUDA graph recorded once serves any tensors. Both directions
are described in the same terms: a *dot* adds a product of rows of some buffer with a block of a
weight matrix to an accumulator, and the segment's program follows. In the backward the rows are the
gradients of sums, and what is accumulated is the gradient of a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from gatedrnn.cells.declaration import previous
from gatedrnn.engine.plan import INPUT
from gatedrnn.engine.trace import Segment, Step, grad

#: Types of a buffer: as the input is stored; as pointwise functions compute; indices; addresses.
STORE, WIDE, INDEX, SEED = "store", "wide", "int32", "int64"
#: Frames of a buffer: all of the sequence; the current and the last one; no frame axis.
ALL, TWO, ONE = "all", "two", "one"


@dataclass(frozen=True)
class Buffer:
    """One tensor that kernels read or write.

    Arguments
    ---------
    dtype : str
        ``STORE``, ``WIDE``, ``INDEX`` or ``SEED``.
    frames : str
        ``ALL``: (T, B, columns); ``TWO``: (2, B, columns); ``ONE``: (B, columns), or (columns,) for
        weights and lengths.
    columns : int
        Length of a row.
    """

    dtype: str
    frames: str
    columns: int


@dataclass(frozen=True)
class Dot:
    """``accumulator += rows of a buffer @ block of a matrix``.

    Arguments
    ---------
    target : str
        Sum (forward), or value whose gradient it is (backward).
    buffer : str
        Where the rows are.
    slot : str
        Frame of the rows: ``"cur"``, ``"old"`` (the previous one in the cell's order of travel) or
        ``"nxt"`` (the following one).
    initial : str or None
        Buffer that stands in for the frame before the first.
    column, size : int
        Columns of the rows that are multiplied.
    matrix : str
        Buffer of the packed weights.
    start, along, across : int
        Element (k, unit) of the block lies at ``start + k * along + unit * across``.
    """

    target: str
    buffer: str
    slot: str
    initial: str | None
    column: int
    size: int
    matrix: str
    start: int
    along: int
    across: int

    @property
    def rows(self) -> tuple[str, str, int, int]:
        """What identifies the rows: dots that share it load them once."""
        return self.buffer, self.slot, self.column, self.size


@dataclass(frozen=True)
class Layout:
    """Buffers and dots of a step.

    Arguments
    ---------
    step : Step
        The traced cell.

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> from gatedrnn.engine.trace import trace
    >>> layout = Layout(trace(RAN(input_size=3, hidden_size=8)))
    >>> [dot.target for dot in layout.forward_dots(0)], layout.is_elementwise
    (['z_i', 'z_f'], False)
    """

    step: Step = field(repr=False)

    # ---- what the step is like ----------------------------------------------------------------

    @property
    def segments(self) -> tuple[Segment, ...]:
        return self.step.segments

    @cached_property
    def states(self) -> dict[str, int]:
        """Name of each state -> width."""
        return self.step.plan.cell.states()

    @cached_property
    def state_of(self) -> dict[str, str]:
        """``NAME_prev`` -> NAME."""
        return {previous(name): name for name in self.states}

    @cached_property
    def is_elementwise(self) -> bool:
        """Whether units never hear of each other: no matrix but the input's."""
        return len(self.segments) == 1 and not self.forward_dots(0)

    @cached_property
    def gammas(self) -> tuple[str, ...]:
        """Every draw of the step, segment by segment, as ``SEGMENT:RESULT``."""
        return tuple(
            f"{i}:{one.result}"
            for i, segment in enumerate(self.segments)
            for one in segment.forward.body
            if one.op == "gamma"
        )

    @cached_property
    def live(self) -> tuple[tuple[str, ...], ...]:
        """Of each segment, the sums that have a gradient; it is stored in this order."""
        return tuple(
            tuple(z for z in s.totals if grad(z) in s.backward.outputs) for s in self.segments
        )

    @cached_property
    def bias_like(self) -> dict[str, list[tuple[int, str]]]:
        """Vector -> (segment, sum) whose gradients, summed, are (a part of) the vector's."""
        found: dict[str, list[tuple[int, str]]] = {}
        for i, segment in enumerate(self.segments):
            outputs = segment.backward.outputs
            for vector in self.vectors(i):
                alias = [z for z in self.live[i] if outputs[grad(z)] == outputs[grad(vector)]]
                if alias:
                    found.setdefault(vector, []).append((i, alias[0]))
        return found

    @cached_property
    def accumulated(self) -> tuple[tuple[str, ...], ...]:
        """Of each segment, the vectors whose gradient is summed over frames by the kernels."""
        return tuple(
            tuple(v for v in self.vectors(i) if all(i != j for j, _ in self.bias_like.get(v, ())))
            for i in range(len(self.segments))
        )

    def vectors(self, index: int) -> list[str]:
        """Vectors with a gradient in a segment."""
        outputs = self.segments[index].backward.outputs
        kinds = self.segments[index].forward.kinds()
        return [n for n, kind in kinds.items() if kind == "vector" and grad(n) in outputs]

    def gradient_values(self, index: int) -> list[str]:
        """Values of a segment whose gradient its backward takes."""
        program = self.segments[index].backward
        return [i.name.removeprefix("grad:") for i in program.inputs if i.kind == "gradient"]

    def previous_gradients(self, state: str) -> list[int]:
        """Segments, in the order of the backward, that give a pointwise gradient to a state."""
        name = grad(previous(state))
        return [
            i
            for i in reversed(range(len(self.segments)))
            if name in self.segments[i].backward.outputs
        ]

    def later_gradients(self, value: str) -> list[int]:
        """Segments, in the order of the backward, that take a value of an earlier one pointwise."""
        home = self.step.home[value]
        last = range(len(self.segments) - 1, home, -1)
        return [j for j in last if grad(value) in self.segments[j].backward.outputs]

    # ---- dots ---------------------------------------------------------------------------------

    def forward_dots(self, index: int) -> list[Dot]:
        """Products of a segment, but those of the input, in the order of their sources."""
        dots = []
        for product in self.segments[index].products:
            if product.source == "x":
                continue
            state = self.state_of.get(product.source)
            size = self.states[state] if state else self.step.widths[product.source]
            slot = self.step.plan.slots[product.weight]
            dots.append(
                Dot(
                    product.total,
                    f"q_{state or product.source}",
                    "old" if state else "cur",
                    f"init_{state}" if state else None,
                    0,
                    size,
                    f"p_{slot.parameter}",
                    slot.start * size,
                    1,
                    size,
                )
            )
        return sorted(dots, key=lambda d: (d.buffer, d.slot))

    def backward_dots(self, index: int) -> list[Dot]:
        """Products whose sum is a part of the gradients of a segment's values."""
        dots = []
        values = self.gradient_values(index)
        for j, segment in enumerate(self.segments):
            for product in segment.products:
                state = self.state_of.get(product.source)
                value = state or product.source
                if value not in values or product.total not in self.live[j]:
                    continue
                width = self.step.widths[value]
                slot = self.step.plan.slots[product.weight]
                dots.append(
                    Dot(
                        value,
                        f"dz_{j}",
                        "nxt" if state else "cur",
                        None,
                        self.live[j].index(product.total) * segment.width,
                        segment.width,
                        f"p_{slot.parameter}",
                        slot.start * width,
                        width,
                        1,
                    )
                )
        return sorted(dots, key=lambda d: (d.slot == "cur", d.buffer, d.column))

    # ---- buffers ------------------------------------------------------------------------------

    def sequence_type(self, name: str) -> str:
        """Type of a stored sequence: gates as the input is stored, everything else wide."""
        draws = {n for draw in self.step.draws for n in (draw.shape, draw.draw)}
        if name == "h":
            return STORE
        wide = name in self.states or name in self.step.keep or name in draws
        return WIDE if wide else STORE

    @cached_property
    def passed(self) -> tuple[str, ...]:
        """Values that later segments or the next frame need but the forward does not store."""
        needed = dict.fromkeys(self.states)
        for segment in self.segments:
            needed |= dict.fromkeys(p.source for p in segment.products)
            needed |= dict.fromkeys(i.name for i in segment.forward.inputs if i.kind == "earlier")
        made = {"h", *self.step.sequences}
        return tuple(n for n in needed if n in self.step.home and n not in made)

    @cached_property
    def memory(self) -> dict[str, Buffer]:
        """Buffers of the values that the forward leaves in memory."""
        widths = self.step.widths
        names = ("h", *self.step.sequences)
        buffers = {f"q_{n}": Buffer(self.sequence_type(n), ALL, widths[n]) for n in names}
        return buffers | {f"q_{n}": Buffer(WIDE, TWO, widths[n]) for n in self.passed}

    @cached_property
    def inputs(self) -> dict[str, Buffer]:
        """Buffers that both directions are given."""
        plan, cell = self.step.plan, self.step.plan.cell
        buffers = {"lengths": Buffer(INDEX, ONE, 1), "in_x": Buffer(STORE, ALL, cell.input_size)}
        buffers |= {f"in_{n}": Buffer(STORE, ALL, w) for n, w in cell.below().items()}
        noise = cell.noise(plan.training)
        buffers |= {f"in_{n}": Buffer(WIDE, ALL, cell.hidden_size) for n in noise}
        for name, shape in plan.parameters.items():
            buffers[f"p_{name}"] = Buffer(STORE, ONE, shape[-1])
        return buffers | {
            f"init_{s}": Buffer(STORE if s == "h" else WIDE, ONE, w) for s, w in self.states.items()
        }

    @cached_property
    def forward(self) -> dict[str, Buffer]:
        """All buffers of the forward; their order is the table's."""
        buffers = dict(self.inputs)
        if INPUT in self.step.plan.parameters:
            buffers["gx"] = Buffer(STORE, ALL, self.step.plan.parameters[INPUT][0])
        buffers |= self.memory
        buffers |= {f"final_{s}": Buffer(WIDE, ONE, w) for s, w in self.states.items()}
        return buffers | {"seed": Buffer(SEED, ONE, 1), "sync": Buffer(INDEX, ONE, 1)}

    @cached_property
    def backward(self) -> dict[str, Buffer]:
        """All buffers of the backward; their order is the table's."""
        step, widths = self.step, self.step.widths
        buffers = dict(self.inputs)
        buffers |= {n: b for n, b in self.memory.items() if b.frames == ALL}
        buffers |= {f"s_{d.gradient}": Buffer(WIDE, ALL, widths[d.draw]) for d in step.draws}
        buffers["do_h"] = Buffer(STORE, ALL, widths["h"])
        buffers |= {f"do_{n}": Buffer(WIDE, ALL, widths[n]) for n in step.keep}
        buffers |= {f"carry_{s}": Buffer(WIDE, TWO, w) for s, w in self.states.items()}
        for i, segment in enumerate(self.segments):
            if self.live[i]:
                buffers[f"dz_{i}"] = Buffer(STORE, ALL, segment.width * len(self.live[i]))
        for name in self.outside_gradients:
            buffers[f"d_{name}"] = Buffer(STORE, ALL, widths[name])
        buffers |= {f"again_{n}": Buffer(STORE, ALL, widths[n]) for n in step.recomputed}
        for name in step.home:
            if self.later_gradients(name):
                buffers[f"e_{name}"] = Buffer(WIDE, ONE, widths[name])
        for names in self.accumulated:
            buffers |= {f"dv_{n}": Buffer(WIDE, ONE, widths[n]) for n in names}
        return buffers | {"sync": Buffer(INDEX, ONE, 1)}

    @cached_property
    def outside_gradients(self) -> dict[str, list[int]]:
        """The input and sequences from below -> segments, in the order of the backward, that give
        them a pointwise gradient."""
        found = {}
        for name in ("x", *self.step.plan.cell.below()):
            order = reversed(range(len(self.segments)))
            found[name] = [i for i in order if grad(name) in self.segments[i].backward.outputs]
        return {name: givers for name, givers in found.items() if givers}
