"""The paths with the time loop inside the kernel: the persistent one, and the elementwise scan.

One launch runs a layer over the whole sequence. A program keeps its units: states and gradients
that units pass only to themselves stay in registers, blocks of the recurrent matrices are loaded
once before the loop. Only what a product reads is exchanged, through memory, and after it all
programs that handle the same sequences wait for each other. A cell without recurrent matrices
exchanges nothing: the same kernel then is a plain scan.

What a frame needs and nobody exchanges (the input's products, stored gates) is loaded before the
wait for the frame before, so that the loads and the wait overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from gatedrnn.cells.declaration import previous
from gatedrnn.engine.trace import grad
from gatedrnn.engine.triton.kernels import KernelPrinter
from gatedrnn.engine.triton.layout import STORE, WIDE, Dot
from gatedrnn.engine.triton.printing import Lines

#: Least size of the summed axis of a product on tensor cores.
SMALLEST = 16
#: Frames whose inputs a scan has in registers ahead of time. Not measured.
AHEAD = 4


def blocks(size: int, most: int) -> list[tuple[int, int]]:
    """Cuts a summed axis into powers of two, as tiles have to be.

    Arguments
    ---------
    size : int
        Its length.
    most : int
        Greatest length of a block.

    Returns
    -------
    list of (int, int)
        Start and length of each block. The last may reach past the end.

    Example
    -------
    >>> blocks(650, 1024), blocks(5, 1024)
    ([(0, 512), (512, 128), (640, 16)], [(0, 16)])
    """
    found, start = [], 0
    while start < size:
        length = SMALLEST
        while length * 2 <= min(most, size - start):
            length *= 2
        found.append((start, length))
        start += length
    return found


class LoopPrinter(KernelPrinter):
    """Prints the kernel of one direction of a whole layer."""

    def kernel(self, name: str, split: int, most: int) -> str:
        """The kernel's source.

        Arguments
        ---------
        name : str
            Name of the kernel.
        split : int
            Into how many parts a block of a product's summed axis is cut.
        most : int
            Longest block.

        Returns
        -------
        str
        """
        self.split, self.most, self.used, self.lines = split, most, {}, Lines(2)
        self.before, self.resident, self.after = Lines(1), Lines(1), Lines(1)
        self.frame_inputs: dict[str, Callable[[str], str]] = {}
        self.constants: dict[str, str] = {}
        widths = list(dict.fromkeys(s.width for s in self.step.segments))
        for width in widths:
            self.tile(self.before, width)
        order = range(len(self.step.segments))
        if self.is_backward:
            self.begin_backward()
        else:
            self.begin_forward()
        marker = "# the next frame's inputs"
        order = list(reversed(order)) if self.is_backward else list(order)
        exchanging = [i for i in order if self.is_exchanged(i)]
        for index in order:
            outputs = self.program(index, self.products(index))
            if self.is_backward:
                self.backward_results(index, outputs)
            else:
                self.forward_results(index, outputs)
            if index in exchanging:
                if index == order[-1]:
                    self.lines.add(marker)
                self.lines.add("goal += tl.num_programs(0)", "_barrier(counter, goal)")
        if order[-1] not in exchanging:
            self.lines.add(marker)
        if self.is_backward:
            self.end_backward()
        else:
            self.end_forward()
        return self.assemble(name, widths, marker, bool(exchanging))

    def assemble(self, name: str, widths: list[int], marker: str, waits: bool) -> str:
        """Puts the pieces together: the order of printing was not that of running."""
        body = str(self.lines)
        if waits:
            prologue, loop = self.frame_by_frame(body, marker)
        else:
            prologue, loop = self.several_ahead(body.replace("        " + marker, ""))
        for variable, code in self.constants.items():
            self.before.add(f"{variable} = {code}")
        if waits:
            counter = f"counter = {self.pointer('sync')} + tl.program_id(1)"
            prologue.add(counter, "goal = T.to(tl.int32) * 0")
        rows, pointers = Lines(1), Lines(1)
        self.rows(rows)
        pointers.add("T = tl.load(table + 1)")
        self.pointers(pointers)
        sizes = ", ".join(f"BU_{width}: tl.constexpr" for width in widths)
        head = f"def {name}(table, B, BB: tl.constexpr, {sizes}):"
        parts = (pointers, rows, self.before, self.resident, prologue, loop, self.after)
        texts = ['@triton.jit(do_not_specialize=["B"])', head, *map(str, parts)]
        return "\n".join(text for text in texts if text)

    def frame_by_frame(self, body: str, marker: str) -> tuple[Lines, Lines]:
        """A loop whose frames wait: each loads the next one's inputs before its last wait."""
        prologue, loop, fetch = Lines(1), Lines(1), Lines(2)
        prologue.add("n = T * 0")
        self.times(prologue, "n", "p")
        # At the last frame this fetches the same once more, rather than from past the end.
        self.times(fetch, "tl.minimum(n + 1, T - 1)", "p")
        for variable, code in self.frame_inputs.items():
            prologue.add(f"{variable} = {code('p')}")
            fetch.add(f"{variable} = {code('p')}")
        # The loads of exchanged values must not move in front of the wait: no pipelining.
        with loop.block("for _ in tl.range(0, T.to(tl.int32), num_stages=1):"):
            self.times(loop, "n")
            loop.lines.append(body.replace("        " + marker, str(fetch)))
            loop.add("n += 1")
        return prologue, loop

    def several_ahead(self, body: str) -> tuple[Lines, Lines]:
        """A loop without waits: memory is slower than a frame, so inputs are loaded well ahead."""
        prologue, loop = Lines(1), Lines(1)
        prologue.add("n = T * 0")

        def fetch(lines: Lines, first: str, ending: str) -> None:
            for k in range(AHEAD):
                self.times(lines, f"tl.minimum({first} + {k}, T - 1)", "p")
                for variable, code in self.frame_inputs.items():
                    lines.add(f"{variable}_{k}{ending} = {code('p')}")

        fetch(prologue, "n", "")
        with loop.block(f"for _ in range(0, tl.cdiv(T.to(tl.int32), {AHEAD})):"):
            fetch(loop, f"n + {AHEAD}", "_next")
            for k in range(AHEAD):
                with loop.block(f"if n + {k} < T:"):
                    self.times(loop, f"(n + {k})")
                    loop.add(*(f"{v} = {v}_{k}" for v in self.frame_inputs))
                    loop.lines += ["    " + line for line in body.splitlines() if line.strip()]
            for k in range(AHEAD):
                loop.add(*(f"{v}_{k} = {v}_{k}_next" for v in self.frame_inputs))
            loop.add(f"n += {AHEAD}")
        return prologue, loop

    # ---- products -------------------------------------------------------------------------------

    def is_exchanged(self, index: int) -> bool:
        """Whether other units read something a segment made."""
        others = [d for i in range(len(self.step.segments)) for d in self.dots(i)]
        if self.is_backward:
            return any(d.buffer == f"dz_{index}" for d in others)
        names = {f"q_{n}" for n, home in self.step.home.items() if home == index}
        return any(d.buffer in names for d in others)

    def products(self, index: int) -> dict[str, str]:
        """Prints the matrix products; returns the accumulator of each target."""
        width, wide = self.step.segments[index].width, self.types[WIDE]
        dots = self.dots(index)
        totals = {d.target: f"a{index}_{d.target}" for d in dots}
        begun: set[str] = set()
        for number, (_, group) in enumerate(groupby(dots, key=lambda d: d.rows)):
            together = list(group)
            for start, length in blocks(together[0].size, self.most):
                parts = min(self.split, length // SMALLEST)
                name = f"{index}_{number}_{start}"
                ks = self.summed_units(name, together[0], start, length, parts)
                self.row_block(ks, together[0])
                for dot in together:
                    weights = self.weight_block(ks, dot, width, f"w{name}_{dot.target}_{dot.start}")
                    target = totals[dot.target]
                    text = f'tl.dot(a, {weights}, input_precision="ieee", out_dtype={wide})'
                    text = f"tl.sum({text}, 0)"
                    self.lines.add(f"{target} {'+=' if target in begun else '='} {text}")
                    begun.add(target)
        return totals

    def summed_units(self, name: str, dot: Dot, start: int, length: int, parts: int) -> str:
        """Prints the places (parts, 1, length / parts) of a block of the summed axis."""
        k, each = f"k{name}", length // parts
        self.resident.add(
            f"{k} = {start} + (tl.arange(0, {parts}) * {each})[:, None, None] "
            f"+ tl.arange(0, {each})[None, None, :]",
            f"{k}t = {start} + (tl.arange(0, {parts}) * {each})[:, None, None] "
            f"+ tl.arange(0, {each})[None, :, None]",
        )
        return k

    def row_block(self, k: str, dot: Dot) -> None:
        """Prints the load of exchanged rows, past the cache that other programs do not write to."""
        lines = self.lines
        near = {"cur": "there", "old": "valid", "nxt": "(there & (n > 0))"}[dot.slot]
        column = f"({dot.column} + {k})" if dot.column else k
        base = self.row_address(dot.buffer, dot.initial, dot.slot)
        lines.add(
            f"a = tl.load({base}[None, :, None] + {column}, "
            f'mask={near}[None, :, None] & ({k} < {dot.size}), other=0.0, cache_modifier=".cg")'
        )
        lines.add(f"a = a.to({self.types[STORE]})")

    def weight_block(self, k: str, dot: Dot, width: int, name: str) -> str:
        """Prints the load, before the loop, of a block of a matrix."""
        units = f"units_{width}[None, None, :]"
        self.resident.add(
            f"{name} = tl.load({self.pointer(dot.matrix)} + {dot.start} + {k}t * {dot.along} + "
            f"{units} * {dot.across}, mask=({k}t < {dot.size}) & ({units} < {width}), other=0.0)"
        )
        return name

    # ---- what stays in registers ----------------------------------------------------------------

    def frame_input(self, variable: str, code: Callable[[str], str]) -> str:
        self.frame_inputs[variable] = code
        return variable

    def constant(self, variable: str, code: str) -> str:
        self.constants[variable] = code
        return variable

    def previous(self, variable: str, state: str, width: int) -> str:
        if self.is_backward:
            return self.frame_input(variable, self.initial_or_old(state, width))
        return f"r_{state}"

    def earlier(self, variable: str, name: str, width: int) -> str:
        return self.made[name]

    def carried(self, state: str, width: int) -> str:
        return f"r_{state}"

    def from_later(self, value: str, width: int) -> str:
        return f"e_{value}"

    def begin_forward(self) -> None:
        self.made: dict[str, str] = {}
        for state, width in self.layout.states.items():
            self.before.add(f"r_{state} = {self.load(f'init_{state}', width)}")

    def is_wanted(self, name: str) -> bool:
        if name == "h" or name in self.step.sequences:
            return True
        dots = [d for i in range(len(self.step.segments)) for d in self.dots(i)]
        return any(d.buffer == f"q_{name}" for d in dots)

    def forward_results(self, index: int, outputs: dict[str, str]) -> None:
        self.made |= outputs
        self.keep_values(index, outputs)

    def end_forward(self) -> None:
        store, wide = self.types[STORE], self.types[WIDE]
        for state, width in self.layout.states.items():
            new = self.made[state]
            # Between frames the output is what the layer above sees.
            new = f"({new}).to({store}).to({wide})" if state == "h" else new
            self.lines.add(f"r_{state} = tl.where(valid[:, None], {new}, r_{state})")
            self.after.add(
                f"tl.store({self.address(f'final_{state}', width)}, r_{state}, mask=mask_{width})"
            )

    def begin_backward(self) -> None:
        wide = self.types[WIDE]
        for state, width in self.layout.states.items():
            # Before anything ran, the last slot holds the gradient of the final state.
            self.before.add(f"r_{state} = {self.load(f'carry_{state}', width, '1')}")
        for name in dict.fromkeys(n for names in self.layout.accumulated for n in names):
            width = self.step.widths[name]
            self.before.add(f"v_{name} = tl.zeros([BB, BU_{width}], {wide})")
            self.after.add(
                f"tl.store({self.address(f'dv_{name}', width)}, v_{name}, mask=mask_{width})"
            )
        self.outside: dict[str, str] = {}
        self.handed: dict[str, list[str]] = {s: [] for s in self.layout.states}

    def backward_results(self, index: int, outputs: dict[str, str]) -> None:
        self.keep_gradients(index, outputs)
        for state in self.layout.states:
            if grad(previous(state)) in outputs:
                self.handed[state].append(outputs[grad(previous(state))])
        for name in self.step.home:
            later = self.layout.later_gradients(name)
            if index in later:
                sign = "=" if index == later[0] else "+="
                self.lines.add(f"e_{name} {sign} {outputs[grad(name)]}")
        for name in self.layout.accumulated[index]:
            self.lines.add(f"v_{name} += {self.valid(outputs[grad(name)])}")

    def add_outside(self, index: int, name: str, value: str) -> None:
        so_far = self.outside.get(name)
        self.outside[name] = f"{so_far} + {value}" if so_far else value
        if index == self.layout.outside_gradients[name][-1]:
            self.store(f"d_{name}", self.step.widths[name], self.outside[name], "cur")

    def end_backward(self) -> None:
        for state, width in self.layout.states.items():
            new = " + ".join(self.handed[state]) or "0.0"
            self.lines.add(f"r_{state} = tl.where(valid[:, None], {new}, r_{state})")
            self.after.add(
                f"tl.store({self.address(f'carry_{state}', width, '(T - 1)')}, r_{state}, "
                f"mask=mask_{width})"
            )
