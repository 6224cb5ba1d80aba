"""One frame at a time through a whole stack, in one call of compiled code.

Streaming needs little arithmetic and all the weights at every frame: what costs is reading them,
and Python. So the stack's weights are laid out once, as float32 or as 8-bit integers with a scale
for each row, and one call runs every layer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib import resources

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.cpu import build
from gatedrnn.engine.cpu.printer import expression, vector
from gatedrnn.engine.ir import CONDITIONS
from gatedrnn.engine.plan import plan as make_plan
from gatedrnn.engine.segments import VECTOR
from gatedrnn.engine.trace import Segment, Step, trace

_REAL = {torch.float32: "float", torch.float64: "double"}
#: Weights below which a second thread costs more than it brings.
SMALL = 200_000


def _slots(step: Step) -> dict[str, int]:
    """Name of every buffer of a layer -> width; the order is that of its pointer table."""
    cell = step.plan.cell
    widths = {"x": cell.input_size}
    for state, width in cell.states().items():
        widths |= {f"{state}_prev": width, state: width}
    widths |= cell.below()
    widths |= {n: s[0] for n, s in cell.weights().items() if len(s) == 1}
    for segment in step.segments:
        names = (*segment.totals, *segment.forward.outputs)
        widths |= {n: segment.width for n in names if n not in widths}
    return widths


def _function(step: Step, segment: Segment, name: str, slots: dict[str, int]) -> str:
    """The pointwise part of a segment, for the units ``from:to`` of one sequence."""
    places = {slot: i for i, slot in enumerate(slots)}
    lines, names = [], {}
    for one in segment.forward.inputs:
        names[one.name] = f"x{len(names)}"
        row = "" if one.kind == VECTOR else " + b * width"
        lines.append(f"V {names[one.name]} = ld(s[{places[one.name]}]{row} + u, k);")
    for number, one in enumerate(segment.forward.body):
        kind = "auto" if one.op in CONDITIONS else "V"
        lines.append(f"{kind} y{number} = {expression(one, names)};")
        names[one.result] = f"y{number}"
    for output, operand in segment.forward.outputs.items():
        lines.append(f"st(s[{places[output]}] + b * width + u, {vector(operand, names)}, k);")
    return "\n".join(
        [
            f"static void {name}(R* const* s, long b, long from, long to, long width) {{",
            "  (void)b; (void)width;",
            "  auto body = [&](long u, auto k) __attribute__((always_inline)) {",
            *(f"    {line}" for line in lines),
            "  };",
            "  long u = from;",
            "  for (; u + VL <= to; u += VL) body(u, Full());",
            "  if (u < to) body(u, Part{to - u});",
            "}",
        ]
    )


def _source(functions: Sequence[str], real: str, quantized: bool) -> str:
    """The whole C++ source."""
    part = resources.files(__package__).joinpath
    names = ", ".join(f"cell{i}" for i in range(len(functions)))
    return "\n".join(
        [
            f"typedef {real} R;",
            f"#define QUANTIZED {int(quantized)}",
            part("runtime.h").read_text(encoding="utf-8"),
            *functions,
            "typedef void (*Pointwise)(R* const*, long, long, long, long);",
            f"static const Pointwise CELLS[] = {{{names}}};",
            part("step.h").read_text(encoding="utf-8"),
        ]
    )


def quantize_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rounds a matrix to 8-bit integers, each row with its own scale.

    Arguments
    ---------
    weight : torch.Tensor
        (rows, columns).

    Returns
    -------
    values : torch.Tensor
        int8, (rows, columns), within -127 and 127.
    scales : torch.Tensor
        (rows,); ``values * scales[:, None]`` is near ``weight``.
    sums : torch.Tensor
        int32, (rows,): sums of the rows' values.

    Example
    -------
    >>> values, scales, sums = quantize_rows(torch.tensor([[1.0, -0.5], [0.0, 0.0]]))
    >>> values.tolist(), sums.tolist()
    ([[127, -64], [0, 0]], [63, 0])
    """
    top = weight.abs().amax(1)
    scales = torch.where(top > 0, top / 127, torch.ones_like(top))
    values = torch.round(weight / scales[:, None]).to(torch.int8)
    return values, scales, values.sum(1, dtype=torch.int32)


class CompiledStep:
    """A stack of layers, compiled to advance by one frame at a call.

    The weights are copied: later changes of the originals are not seen.

    Arguments
    ---------
    layers : sequence of (Cell, dict)
        Each layer's declaration and packed parameters, from the lowest up; one direction.
    batch : int
        Sequences advanced at once.
    quantized : bool
        8-bit weights and products; float32 stacks only.

    Raises
    ------
    gatedrnn.engine.cpu.build.CompilerError
        If nothing can be compiled here.
    gatedrnn.engine.trace.UnsupportedOperation
        If a layer's pointwise functions cannot be printed.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Cell, dict[str, torch.Tensor]]],
        batch: int = 1,
        quantized: bool = False,
    ) -> None:
        first = next(iter(layers[0][1].values()))
        self.dtype, self.batch, self.quantized = first.dtype, batch, quantized
        steps = [trace(cell, gradients=False) for cell, _ in layers]
        self._keep: list[torch.Tensor] = []
        self._pointers: list[int] = [0]
        self._functions: dict[tuple[str, ...], int] = {}
        states = layers[0][0].states()
        #: Name of each state -> its buffers, (2, layers, batch, width): one half is read, the
        #: other written, in turn.
        self.states = {
            n: torch.zeros(2, len(layers), batch, w, dtype=self.dtype) for n, w in states.items()
        }
        self.input = torch.zeros(batch, layers[0][0].input_size, dtype=self.dtype)
        program: list[int] = []
        for index, (step, (_, params)) in enumerate(zip(steps, layers, strict=True)):
            program += self._layer(step, index, params)
        threads = 1 if sum(t.numel() for t in self._keep) < SMALL else torch.get_num_threads()
        room = 64 * (max(max(s.plan.cell.input_size, *s.widths.values()) for s in steps) // 64 + 1)
        scratch = torch.empty(threads * room, dtype=torch.uint8)
        self._hold(scratch)
        self._pointers[0] = scratch.data_ptr()
        numbers = [batch, threads, 0, len(layers), room, *program]
        self._numbers = (ctypes.c_long * len(numbers))(*numbers)
        self._table = (ctypes.c_void_p * len(self._pointers))(*self._pointers)
        source = _source(
            tuple(f for fs in self._functions for f in fs), _REAL[self.dtype], quantized
        )
        self._run = build.load(source).run

    @property
    def parity(self) -> int:
        """The half of the states that the next call writes."""
        return self._numbers[2]

    def advance(self, x: torch.Tensor) -> torch.Tensor:
        """Advances by one frame.

        Arguments
        ---------
        x : torch.Tensor
            (batch, m).

        Returns
        -------
        torch.Tensor
            Output of the last layer, (batch, N): a view, good until the call after the next.
        """
        self.input.copy_(x)
        self._run(self._numbers, self._table)
        half = self._numbers[2]
        self._numbers[2] = 1 - half
        return self.states["h"][half, -1]

    # ---- layout -----------------------------------------------------------------------------

    def _hold(self, tensor: torch.Tensor) -> int:
        """Keeps a tensor alive, and gives the place of its pointer."""
        self._keep.append(tensor)
        self._pointers.append(tensor.data_ptr())
        return len(self._pointers) - 1

    def _layer(self, step: Step, index: int, params) -> list[int]:
        """A layer's part of the program; adds its two pointer tables."""
        slots, cell, plan = _slots(step), step.plan.cell, step.plan
        views = {n: w.detach().to(self.dtype) for n, w in plan.views(params).items()}
        shared: dict[str, torch.Tensor] = {}
        halves: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for name, width in slots.items():
            for half in (0, 1):
                if name in self.states:
                    tensor = self.states[name][half, index]
                elif name.removesuffix("_prev") in self.states:
                    tensor = self.states[name.removesuffix("_prev")][1 - half, index]
                elif name == "x":
                    tensor = self.input if index == 0 else self.states["h"][half, index - 1]
                elif name in cell.below():
                    tensor = self.states[name.removesuffix("_below")][half, index - 1]
                else:
                    if name not in shared:
                        given = views.get(name)
                        shared[name] = (
                            torch.zeros(self.batch, width, dtype=self.dtype)
                            if given is None
                            else given.contiguous().clone()
                        )
                    tensor = shared[name]
                halves[half][name] = tensor.data_ptr()
        self._keep += shared.values()
        places = []
        for half in halves:
            places.append(len(self._pointers))
            self._pointers += half.values()
        segments: list[int] = []
        functions = tuple(_function(step, s, "CELL", slots) for s in step.segments)
        first = self._place(functions)
        for number, segment in enumerate(step.segments):
            segments += [number, segment.width, *self._products(segment, slots, views)]
        return [first, *places, len(step.segments), *segments]

    def _place(self, functions: tuple[str, ...]) -> int:
        """Index of the first of a layer's functions in the table of all; equal ones are shared."""
        count = 0
        for known in self._functions:
            if [f.replace(f"cell{count + i}(", "CELL(") for i, f in enumerate(known)] == [
                *functions
            ]:
                return count
            count += len(known)
        named = tuple(f.replace("CELL(", f"cell{count + i}(") for i, f in enumerate(functions))
        self._functions[named] = count
        return count

    def _products(self, segment: Segment, slots, views) -> list[int]:
        """The products of a segment, those of one source together."""
        order = list(slots)
        products = sorted(segment.products, key=lambda p: order.index(p.source))
        numbers, seen = [len(products)], set()
        for product in products:
            weight = views[product.weight].contiguous().clone()
            row = [order.index(product.source), order.index(product.total), weight.shape[1]]
            row.append(int(product.total in seen))
            seen.add(product.total)
            if self.quantized:
                row += [self._hold(t.contiguous()) for t in quantize_rows(weight)]
            else:
                row.append(self._hold(weight))
            numbers += row
        return numbers


def obstacle(cells: Sequence[Cell], dtype: torch.dtype, quantized: bool) -> str | None:
    """Why a stack cannot be compiled to a step here, or ``None``.

    Arguments
    ---------
    cells : sequence of Cell
        The layers.
    dtype : torch.dtype
        Of the weights.
    quantized : bool
        8-bit weights.

    Returns
    -------
    str or None

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> obstacle([RAN(input_size=3, hidden_size=4)], torch.float16, False)
    'it takes float32 and float64 weights, not torch.float16'
    """
    if dtype not in _REAL:
        return f"it takes float32 and float64 weights, not {dtype}"
    if quantized and dtype != torch.float32:
        return f"8-bit weights are made of float32 ones, not {dtype}"
    for cell in cells:
        make_plan(cell)
        unknown = set(cell.below()) - {f"{s}_below" for s in cell.states()}
        if unknown:
            return f"{cell.label} reads {sorted(unknown)} from below, which is no state there"
    return build.obstacle()
