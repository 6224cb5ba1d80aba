"""Calls the printed and compiled recurrence: allocates, points, runs."""

from __future__ import annotations

import ctypes
import math
import mmap
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch

from gatedrnn.cells.declaration import Cell
from gatedrnn.engine.cpu import build, printer
from gatedrnn.engine.cpu.tables import Layout
from gatedrnn.engine.operators import Call
from gatedrnn.engine.segments import UnsupportedOperation
from gatedrnn.engine.select import Runner
from gatedrnn.engine.trace import Step, trace

#: Rows (frames times sequences) of a chunk of time.
CHUNK_ROWS = 512
#: Multiply-adds below which a second thread costs more than it brings.
SMALL = 2_000_000
_REAL = {torch.float32: "float", torch.float64: "double"}


@dataclass(eq=False)
class Printed:
    """One direction of travel of one step, printed; compiled when first used."""

    step: Step
    backward: bool
    dtype: torch.dtype

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.step, self.backward)

    @cached_property
    def library(self) -> ctypes.CDLL:
        return build.load(printer.source(self.layout, _REAL[self.dtype]))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Of each segment."""
        return tuple(segment.width for segment in self.step.segments)

    @cached_property
    def places(self) -> dict[str, list[tuple[str, int]]]:
        """Of matrices and vectors: the packed parameter each lies in, and bytes before it."""
        plan = self.step.plan
        size = torch.empty((), dtype=self.dtype).element_size()

        def place(name: str) -> tuple[str, int]:
            slot = plan.slots[name]
            return slot.parameter, slot.start * math.prod(slot.shape[1:]) * size

        layout = self.layout
        groups = {"MATRIX": layout.matrices, "VECTOR": layout.vectors}
        return {group: [place(n) for n in names] for group, names in groups.items()}

    @cached_property
    def reads_x(self) -> bool:
        """Whether any matrix multiplies the input."""
        return any(p.source == "x" for s in self.step.segments for p in s.products)

    @cached_property
    def work(self) -> int:
        """Multiply-adds of one row."""
        return self.step.plan.cell.num_parameters()


_PRINTED: dict[tuple, Printed] = {}


def printed(step: Step, backward: bool, dtype: torch.dtype) -> Printed:
    """The printed code of a step, made once."""
    key = (id(step), backward, dtype)
    if key not in _PRINTED:
        _PRINTED[key] = Printed(step, backward, dtype)
    return _PRINTED[key]


@lru_cache
def _kernels(dtype: torch.dtype) -> int:
    """Address of the table of matrix products."""
    table = ctypes.c_void_p()
    pointers = (ctypes.c_void_p * 1)(ctypes.addressof(table))
    build.load(printer.kernels(_REAL[dtype])).run(None, pointers)
    return table.value


def _pages(size: int) -> torch.Tensor:
    """Fresh memory, in large pages where the system has them: packed weights span thousands."""
    if not hasattr(mmap, "MADV_HUGEPAGE") or size < 1 << 21:
        return torch.empty(size, dtype=torch.uint8)
    pages = mmap.mmap(-1, size)
    # A system without large pages refuses, and small ones do.
    with suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=torch.uint8)


class _Workspaces:
    """Scratch memory that is used again: touching fresh pages costs as much as arithmetic."""

    def __init__(self) -> None:
        self._free: list[torch.Tensor] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> torch.Tensor:
        with self._lock:
            for index, buffer in enumerate(self._free):
                if buffer.numel() >= size:
                    return self._free.pop(index)
            # Too small for this call: let a larger one take its place.
            if self._free:
                self._free.pop()
        return _pages(size)

    def give(self, buffer: torch.Tensor) -> None:
        with self._lock:
            self._free.append(buffer)


_WORKSPACES = _Workspaces()


def _run(code: Printed, call: Call, pointers: Mapping[str, list], want_x: bool) -> None:
    frames, batch, m = call.x.shape
    layout = code.layout
    small = code.work * frames * batch < SMALL
    blocks = max(1, max(code.widths) // 16)
    threads = 1 if small else min(torch.get_num_threads(), blocks)
    chunk = max(1, min(frames, CHUNK_ROWS // batch))
    sizes = (frames, batch, m, chunk, call.reverse, call.seed, threads, want_x, layout.backward)
    sizes += code.widths
    numbers = (ctypes.c_long * len(sizes))(*sizes)
    workspace = _WORKSPACES.take(code.library.workspace(numbers))
    try:
        own = {"WORKSPACE": [workspace.data_ptr()], "KERNELS": [_kernels(call.x.dtype)]}
        flat = [a for group in layout.pointers for a in own.get(group) or pointers[group]]
        code.library.run(numbers, (ctypes.c_void_p * len(flat))(*flat))
    finally:
        _WORKSPACES.give(workspace)


def _at(tensors: Iterable[torch.Tensor | None]) -> list[int | None]:
    return [None if t is None else t.data_ptr() for t in tensors]


def _within(places: list[tuple[str, int]], params: Mapping[str, torch.Tensor]) -> list[int]:
    """Addresses of named weights: making a view of each would take longer than a short layer."""
    starts = {name: p.data_ptr() for name, p in params.items()}
    return [starts[name] + offset for name, offset in places]


def _inputs(code: Printed, call: Call) -> dict[str, list]:
    places = code.places
    return {
        "X": [call.x.data_ptr()],
        "LENGTHS": _at([call.lengths]),
        "MATRIX": _within(places["MATRIX"], call.params),
        "VECTOR": _within(places["VECTOR"], call.params),
        "INIT": _at(call.state[n] for n in code.layout.states),
        "BELOW": _at(call.below[n] for n in code.layout.below),
        "NOISE": _at(call.noise[n] for n in code.layout.noise),
    }


def forward(call: Call) -> list[torch.Tensor]:
    """Runs a layer: its output, the step's sequences, the final states."""
    code = printed(call.step, False, call.x.dtype)
    frames, batch = call.x.shape[:2]
    widths = call.step.widths
    rows = [call.x.new_empty((frames, batch, widths[n])) for n in ("h", *call.step.sequences)]
    finals = [torch.empty_like(s) for s in call.state.values()]
    outputs = {"H": _at(rows[:1]), "SEQ": _at(rows[1:]), "FINAL": _at(finals)}
    _run(code, call, _inputs(code, call) | outputs, False)
    return rows + finals


def backward(
    call: Call,
    stored: Mapping[str, torch.Tensor],
    gradients: Mapping[str, torch.Tensor | None],
    finals: Mapping[str, torch.Tensor | None],
    want_x: bool,
) -> list[torch.Tensor]:
    """Gradients of x, of the packed parameters, of the initial states, of what lies below."""
    step = call.step
    code = printed(step, True, call.x.dtype)
    places = code.places
    dx = torch.empty_like(call.x)
    if not code.reads_x:
        dx.zero_()
    dparams = {n: torch.empty_like(p) for n, p in call.params.items()}
    dstate = [torch.empty_like(s) for s in call.state.values()]
    dbelow = [torch.zeros_like(s) for s in call.below.values()]
    pointers = _inputs(code, call) | {
        "H": _at([stored["h"]]),
        "SEQ": _at(stored[n] for n in step.sequences),
        "D_H": _at([gradients["h"]]),
        "D_KEEP": _at(gradients[n] for n in step.keep),
        "D_FINAL": _at(finals[n] for n in code.layout.states),
        "D_X": _at([dx]),
        "D_MATRIX": _within(places["MATRIX"], dparams),
        "D_VECTOR": _within(places["VECTOR"], dparams),
        "D_INIT": _at(dstate),
        "D_BELOW": _at(dbelow),
    }
    _run(code, call, pointers, want_x)
    return [dx if want_x else call.x.new_empty(0), *dparams.values(), *dstate, *dbelow]


def _obstacle(cell: Cell, device: torch.device, dtype: torch.dtype, training: bool) -> str | None:
    # Tensors without storage only want shapes, which the operators know.
    if device.type not in ("cpu", "meta"):
        return f"it runs on the CPU, not on {device.type}"
    if dtype not in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        return f"it knows no {dtype}"
    try:
        Layout(trace(cell, training), True)
    except UnsupportedOperation as error:
        return str(error)
    return build.obstacle()


RUNNERS = (
    Runner(
        name="cpu",
        rank=10,
        obstacle=_obstacle,
        forward=forward,
        backward=backward,
        reason="the time loop compiled for this processor",
        padding=True,
    ),
)
