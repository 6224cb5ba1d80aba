"""The step path: one kernel for each segment of each frame; any size, no program waits."""

from __future__ import annotations

from itertools import groupby

from gatedrnn.cells.declaration import previous
from gatedrnn.engine.trace import grad
from gatedrnn.engine.triton.kernels import KernelPrinter
from gatedrnn.engine.triton.layout import STORE, WIDE, Dot
from gatedrnn.engine.triton.printing import Lines


class StepPrinter(KernelPrinter):
    """Prints the kernel of one segment and one direction.

    All that passes from frame to frame, or from segment to segment, passes through memory: the
    order of launches on a stream is the only synchronisation.
    """

    def kernel(self, index: int, name: str) -> str:
        """The kernel's source.

        Arguments
        ---------
        index : int
            The segment.
        name : str
            Name of the kernel.

        Returns
        -------
        str
        """
        width = self.step.segments[index].width
        self.used, self.lines = {}, Lines(2)
        head = Lines(2)
        self.rows(head)
        self.times(head, "n")
        self.tile(head, width)
        outputs = self.program(index, self.products(index))
        if self.is_backward:
            self.keep_gradients(index, outputs)
            self.keep_carries(index, outputs)
        else:
            self.keep_values(index, outputs)
            for state in self.layout.states:
                if self.step.home[state] == index:
                    mask = f"mask_{width} & last[:, None]"
                    self.store(f"final_{state}", width, outputs[state], mask=mask)
        begin = Lines(1)
        begin.add("n = tl.load(table) + frame", "T = tl.load(table + 1)")
        with begin.block("if n < T:"):
            self.pointers(begin)
        signature = f"def {name}(table, frame, B, BB: tl.constexpr, BU_{width}: tl.constexpr, "
        return "\n".join(
            [
                # A number that happens to be 1 or a multiple of 16 must not mean another compile.
                '@triton.jit(do_not_specialize=["frame", "B"])',
                f"{signature}BK: tl.constexpr):",
                str(begin),
                str(head),
                str(self.lines),
            ]
        )

    def products(self, index: int) -> dict[str, str]:
        """Prints the matrix products; returns the accumulator of each target."""
        width, wide = self.step.segments[index].width, self.types[WIDE]
        dots = self.dots(index)
        totals = {d.target: f"a{index}_{d.target}" for d in dots}
        for variable in totals.values():
            self.lines.add(f"{variable} = tl.zeros([BB, BU_{width}], {wide})")
        for rows, group in groupby(dots, key=lambda d: d.rows):
            with self.lines.block(f"for k in range(0, {rows[-1]}, BK):"):
                self.product(list(group), width, totals)
        return totals

    def product(self, dots: list[Dot], width: int, totals: dict[str, str]) -> None:
        """Prints one round of the products that share their rows."""
        one, lines = dots[0], self.lines
        lines.add("ks = k + tl.arange(0, BK)", f"there_k = ks < {one.size}")
        column = f"{one.column} + ks" if one.column else "ks"
        # Rows of padded frames hold zeros or are not used.
        near = {"cur": "there", "old": "valid", "nxt": "(there & (n > 0))"}[one.slot]
        base = self.row_address(one.buffer, one.initial, one.slot)
        lines.add(
            f"a = tl.load({base}[:, None] + ({column})[None, :], "
            f"mask={near}[:, None] & there_k[None, :], other=0.0)"
        )
        lines.add(f"a = a.to({self.types[STORE]})")
        for dot in dots:
            pointer = self.pointer(dot.matrix)
            place = f"ks[:, None] * {dot.along} + units_{width}[None, :] * {dot.across}"
            lines.add(
                f"w = tl.load({pointer} + {dot.start} + {place}, "
                f"mask=there_k[:, None] & there_{width}[None, :], other=0.0)"
            )
            target = totals[dot.target]
            lines.add(
                f'{target} = tl.dot(a, w, {target}, input_precision="ieee", '
                f"out_dtype={self.types[WIDE]})"
            )

    def previous(self, variable: str, state: str, width: int) -> str:
        return self.frame_input(variable, self.initial_or_old(state, width))

    def earlier(self, variable: str, name: str, width: int) -> str:
        return self.frame_input(variable, lambda s: self.load(f"q_{name}", width, f"cur{s}"))

    def carried(self, state: str, width: int) -> str:
        variable = f"carry_in_{state}"
        return self.frame_input(
            variable, lambda s: self.load(f"carry_{state}", width, f"(n{s} - 1)")
        )

    def from_later(self, value: str, width: int) -> str:
        return self.frame_input(f"e_in_{value}", lambda s: self.load(f"e_{value}", width))

    def add_outside(self, index: int, name: str, value: str) -> None:
        width = self.step.widths[name]
        if index != self.layout.outside_gradients[name][0]:
            value += " + " + self.load(f"d_{name}", width, "cur")
        self.store(f"d_{name}", width, value, "cur")

    def keep_carries(self, index: int, outputs: dict[str, str]) -> None:
        """Hands on the gradients of states, of earlier segments' values and of vectors."""
        for state, width in self.layout.states.items():
            givers = self.layout.previous_gradients(state)
            part = outputs.get(grad(previous(state)))
            # The first kernel of the frame that has to do with the state begins the sum.
            if index == max([*givers, self.step.home[state]]):
                passing = self.load(f"carry_{state}", width, "(n - 1)")
                own = part or "0.0"
                value = f"tl.where(valid[:, None], {own}, {passing})"
                self.store(f"carry_{state}", width, value, "n")
            elif part:
                so_far = self.load(f"carry_{state}", width, "n")
                self.store(f"carry_{state}", width, f"{so_far} + {self.valid(part)}", "n")
        for name in self.step.home:
            later = self.layout.later_gradients(name)
            if index in later:
                width, value = self.step.widths[name], outputs[grad(name)]
                if index != later[0]:
                    value += " + " + self.load(f"e_{name}", width)
                self.store(f"e_{name}", width, value)
        for name in self.layout.accumulated[index]:
            width = self.step.widths[name]
            so_far = self.load(f"dv_{name}", width)
            self.store(f"dv_{name}", width, f"{so_far} + {self.valid(outputs[grad(name)])}")
