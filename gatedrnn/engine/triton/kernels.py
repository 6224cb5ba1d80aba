"""Prints the kernels of a step: one for each segment and direction, run frame by frame."""

from __future__ import annotations

from collections.abc import Callable

from gatedrnn.engine.ir import Program
from gatedrnn.engine.trace import grad
from gatedrnn.engine.triton.layout import ALL, INDEX, ONE, SEED, STORE, WIDE, Dot, Layout
from gatedrnn.engine.triton.printing import Lines, print_program

#: Element types that do not depend on the call.
_FIXED = {INDEX: "tl.int32", SEED: "tl.int64"}


class KernelPrinter:
    """What the kernels of both directions and both paths share.

    A kernel's program handles a tile: ``BB`` sequences by ``BU`` units of a segment. Every tensor
    is addressed through ``table``: its first two entries are the number of the first frame and T,
    the others are addresses in the order of the layout's buffers.

    Arguments
    ---------
    layout : Layout
        The buffers and dots.
    backward : bool
        Which direction.
    reverse : bool
        Whether the cell runs from the last frame to the first.
    store, wide : str
        Types of stored and of computed values, as code.
    """

    def __init__(
        self, layout: Layout, backward: bool, reverse: bool, store: str, wide: str
    ) -> None:
        self.layout, self.step = layout, layout.step
        self.is_backward, self.reverse = backward, reverse
        self.types = {STORE: store, WIDE: wide, **_FIXED}
        self.buffers = layout.backward if backward else layout.forward
        self.order = {name: 2 + i for i, name in enumerate(self.buffers)}
        self.used: dict[str, None] = {}
        self.lines = Lines(1)

    # ---- small pieces of code -------------------------------------------------------------------

    def pointer(self, name: str) -> str:
        """A buffer's base pointer."""
        self.used[name] = None
        return name

    def pointers(self, lines: Lines) -> None:
        """Reads the base pointers of all used buffers from the table."""
        for name in self.used:
            kind = self.types[self.buffers[name].dtype]
            lines.add(f"{name} = tl.load(table + {self.order[name]}).to(tl.pointer_type({kind}))")
            lines.add(f"{name} = tl.multiple_of({name}, 16)")

    def tile(self, lines: Lines, width: int) -> None:
        """Units of a program and which of its elements exist."""
        lines.add(
            f"units_{width} = tl.program_id(0) * BU_{width} + tl.arange(0, BU_{width})",
            f"there_{width} = units_{width} < {width}",
            f"mask_{width} = there[:, None] & there_{width}[None, :]",
        )

    def rows(self, lines: Lines) -> None:
        """Sequences of a program and their lengths."""
        pointer = self.pointer("lengths")
        lines.add(
            "rows = tl.program_id(1) * BB + tl.arange(0, BB)",
            "there = rows < B",
            f"length = tl.load({pointer} + rows, mask=there, other=0)",
        )

    def times(self, lines: Lines, n: str, s: str = "") -> None:
        """The frame of a moment, its neighbours, and what it is to each sequence.

        Arguments
        ---------
        lines : Lines
            Where to.
        n : str
            Number of frames done before, as code; int64.
        s : str
            Ending of the variables.
        """
        descending = self.reverse != self.is_backward
        lines.add(f"cur{s} = T - 1 - {n}" if descending else f"cur{s} = {n}")
        before, after = (" + 1", " - 1") if self.reverse else (" - 1", " + 1")
        lines.add(f"old{s} = cur{s}{before}", f"nxt{s} = cur{s}{after}")
        lines.add(f"valid{s} = cur{s} < length")
        lines.add(f"first{s} = valid{s} & (cur{s} == " + ("length - 1)" if self.reverse else "0)"))
        lines.add(f"last{s} = valid{s} & (cur{s} == " + ("0)" if self.reverse else "length - 1)"))

    def address(self, name: str, width: int, slot: str | None = None, column: int = 0) -> str:
        """Addresses of a tile of a buffer, at a frame or (``None``) without one."""
        buffer, pointer = self.buffers[name], self.pointer(name)
        units = f"units_{width}" if not column else f"({column} + units_{width})"
        place = f"rows[:, None] * {buffer.columns} + {units}[None, :]"
        return f"{pointer} + {self.frame(name, slot)}{place}"

    def frame(self, name: str, slot: str | None) -> str:
        """Offset of a frame of a buffer, as code to be added to."""
        buffer = self.buffers[name]
        if buffer.frames == ONE:
            return ""
        number = slot if buffer.frames == ALL else f"({slot} + 2) % 2"
        return f"({number}) * B * {buffer.columns} + "

    def load(
        self, name: str, width: int, slot: str | None = None, column: int = 0, mask: str = ""
    ) -> str:
        """A tile, wide; zero where there is none."""
        mask = mask or f"mask_{width}"
        text = f"tl.load({self.address(name, width, slot, column)}, mask={mask}, other=0.0)"
        return f"{text}.to({self.types[WIDE]})"

    def store(
        self, name: str, width: int, value: str, slot: str | None = None, column: int = 0, mask=""
    ) -> None:
        """Writes a tile."""
        kind = self.types[self.buffers[name].dtype]
        mask = mask or f"mask_{width}"
        address = self.address(name, width, slot, column)
        self.lines.add(f"tl.store({address}, ({value}).to({kind}), mask={mask})")

    def valid(self, value: str, s: str = "") -> str:
        """A tile with zeros in padded frames."""
        return f"tl.where(valid{s}[:, None], {value}, 0.0)"

    # ---- what the two paths do differently ------------------------------------------------------

    def frame_input(self, variable: str, code: Callable[[str], str]) -> str:
        """A value that is there before the frame begins; returns its variable."""
        self.lines.add(f"{variable} = {code('')}")
        return variable

    def constant(self, variable: str, code: str) -> str:
        """A value that is the same for all frames; returns its variable."""
        self.lines.add(f"{variable} = {code}")
        return variable

    def initial_or_old(self, state: str, width: int) -> Callable[[str], str]:
        """A state after the previous frame, from memory; the code takes a moment's ending."""

        def code(s: str) -> str:
            base = self.row_address(f"q_{state}", f"init_{state}", f"old{s}", s)
            text = f"tl.load({base}[:, None] + units_{width}[None, :], "
            return f"{text}mask=mask_{width} & valid{s}[:, None], other=0.0).to({self.types[WIDE]})"

        return code

    def row_address(self, name: str, initial: str | None, slot: str, s: str = "") -> str:
        """Addresses of rows of a buffer; of its stand-in where a sequence has only begun."""
        buffer = self.buffers[name]
        rows = f"{self.pointer(name)} + {self.frame(name, slot)}rows * {buffer.columns}"
        if initial is None:
            return f"({rows})"
        begin = f"{self.pointer(initial)} + rows * {buffer.columns}"
        # One load from either place, rather than two of which one does nothing.
        return f"tl.where(first{s}, {begin}, {rows})"

    def inputs(self, index: int, program: Program, totals: dict[str, str]) -> dict[str, str]:
        """Variables of a program's inputs."""
        names = {}
        width = self.step.segments[index].width
        for one in program.inputs:
            name, kind = one.name, one.kind
            variable = f"i{index}_{name.replace(':', '_')}"
            if kind == "vector":
                names[name] = self.constant(variable, self.vector(name, width))
            elif kind == "total":
                names[name] = self.total(index, name, totals.get(name))
            elif kind == "gradient":
                names[name] = self.gradient(index, name.removeprefix("grad:"), totals)
            elif kind == "previous":
                names[name] = self.previous(variable, self.layout.state_of[name], width)
            elif kind == "earlier":
                names[name] = self.earlier(variable, name, width)
            else:
                folder = {"saved": "q_", "gamma_grad": "s_"}.get(kind, "in_")
                names[name] = self.frame_input(
                    variable, lambda s, n=folder + name: self.load(n, width, f"cur{s}")
                )
        return names

    def vector(self, name: str, width: int) -> str:
        """A weight vector, as a row of a tile."""
        slot = self.step.plan.slots[name]
        pointer = self.pointer(f"p_{slot.parameter}")
        text = f"tl.load({pointer} + {slot.start} + units_{width}, mask=there_{width}, other=0.0)"
        return f"{text}.to({self.types[WIDE]})[None, :]"

    def total(self, index: int, name: str, dots: str | None) -> str:
        """A sum: the input's hoisted products and the dots made now."""
        segment = self.step.segments[index]
        parts = [dots] if dots else []
        for product in segment.products:
            if product.total == name and product.source == "x":
                start = self.step.plan.slots[product.weight].start
                parts.append(
                    self.frame_input(
                        f"x{index}_{product.weight}",
                        lambda s, start=start: self.load("gx", segment.width, f"cur{s}", start),
                    )
                )
        return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"

    def gradient(self, index: int, value: str, totals: dict[str, str]) -> str:
        """The gradient of a value, summed over its uses."""
        width = self.step.widths[value]
        parts = [totals[value]] if value in totals else []
        if value == "h" or value in self.step.keep:
            # Past its length a sequence's gradients are not used.
            parts.append(
                self.frame_input(
                    f"o{index}_{value}", lambda s: self.load(f"do_{value}", width, f"cur{s}")
                )
            )
        if value in self.layout.states:
            parts.append(self.carried(value, width))
        if self.layout.later_gradients(value):
            parts.append(self.from_later(value, width))
        return (
            f"({' + '.join(parts)})" if parts else f"tl.zeros([BB, BU_{width}], {self.types[WIDE]})"
        )

    def draws(self, index: int, width: int) -> dict[str, str]:
        """Arguments of a segment's Gamma draws after the shape."""
        names = [n.split(":") for n in self.layout.gammas]
        found = {r: k for k, (i, r) in enumerate(names) if int(i) == index}
        if found:
            seed = self.constant("seed_value", f"tl.load({self.pointer('seed')})")
            element = f"rows[:, None] * {width} + units_{width}[None, :]"
            return {r: f"{seed}, {element}, cur.to(tl.int32), {k}" for r, k in found.items()}
        return {}

    def program(self, index: int, totals: dict[str, str]) -> dict[str, str]:
        """Prints a segment's program with its inputs; returns its outputs."""
        segment = self.step.segments[index]
        program = segment.backward if self.is_backward else segment.forward
        return print_program(
            self.lines,
            program,
            self.inputs(index, program, totals),
            f"{'b' if self.is_backward else 'f'}{index}_",
            f"[BB, BU_{segment.width}]",
            self.types[WIDE],
            {} if self.is_backward else self.draws(index, segment.width),
        )

    # ---- the results of a segment ---------------------------------------------------------------

    def keep_values(self, index: int, outputs: dict[str, str]) -> None:
        """Stores what a segment's forward leaves in memory."""
        width = self.step.segments[index].width
        for name, value in outputs.items():
            if f"q_{name}" in self.buffers and self.is_wanted(name):
                self.store(f"q_{name}", width, self.valid(value), "cur")

    def is_wanted(self, name: str) -> bool:
        """Whether a value has to go to memory."""
        return True

    def keep_gradients(self, index: int, outputs: dict[str, str]) -> None:
        """Stores the gradients of a segment's sums, of outside sequences, and recomputed values."""
        layout, width = self.layout, self.step.segments[index].width
        for column, total in enumerate(layout.live[index]):
            value = self.valid(outputs[grad(total)])
            self.store(f"dz_{index}", width, value, "cur", column * width)
        for name in layout.outside_gradients:
            if grad(name) in outputs:
                self.add_outside(index, name, self.valid(outputs[grad(name)]))
        for name in self.step.recomputed:
            if f"value:{name}" in outputs:
                self.store(f"again_{name}", width, self.valid(outputs[f"value:{name}"]), "cur")

    # Hooks, given by the paths.

    def previous(self, variable: str, state: str, width: int) -> str:
        raise NotImplementedError

    def earlier(self, variable: str, name: str, width: int) -> str:
        raise NotImplementedError

    def carried(self, state: str, width: int) -> str:
        raise NotImplementedError

    def from_later(self, value: str, width: int) -> str:
        raise NotImplementedError

    def add_outside(self, index: int, name: str, value: str) -> None:
        raise NotImplementedError

    def dots(self, index: int) -> list[Dot]:
        """Products of a segment in this direction."""
        return (
            self.layout.backward_dots(index)
            if self.is_backward
            else self.layout.forward_dots(index)
        )
