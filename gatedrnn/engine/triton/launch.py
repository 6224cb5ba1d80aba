"""Launches printed kernels: tables of addresses, tile sizes, and CUDA graphs of the step path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import torch

from gatedrnn.engine.triton import source
from gatedrnn.engine.triton.layout import Buffer, Layout

#: Frames of one recorded CUDA graph: long sequences replay it, short ones leave early.
GRAPH_FRAMES = 32
#: Recorded graphs that are kept; of batches and cells beyond them the oldest goes.
KEPT_GRAPHS = 128
#: ``GATEDRNN_TRITON_GRAPHS=0`` launches the step path's kernels one by one.
GRAPHS = "GATEDRNN_TRITON_GRAPHS"


@dataclass(frozen=True)
class Tiles:
    """Sizes of a program's tile.

    Arguments
    ---------
    rows : int
        Sequences.
    units : dict
        Width of a segment -> units.
    summed : int
        Longest block of a product's summed axis.
    warps : int
        Warps of a program.
    split : int
        Into how many parts a block of a summed axis is cut, so that the warps share it instead of
        one making a long chain of dependent products (paths with the loop inside).
    """

    rows: int
    units: dict[int, int]
    summed: int
    warps: int
    split: int = 1

    def grid(self, batch: int, widths) -> tuple[int, int]:
        """Number of programs along units and sequences."""
        return max(_blocks(w, self.units[w]) for w in widths), _blocks(batch, self.rows)


def _blocks(size: int, tile: int) -> int:
    return -(-size // tile)


def _power(size: int, least: int, most: int) -> int:
    """The power of two that covers a size, between two bounds."""
    return max(least, min(most, 1 << (size - 1).bit_length()))


def step_tiles(layout: Layout, batch: int, dtype: torch.dtype) -> Tiles:
    """Tiles of the step path. Not measured: chosen to give a GPU some hundred programs.

    Arguments
    ---------
    layout : Layout
        The cell.
    batch : int
        Sequences.
    dtype : torch.dtype
        Of the input.

    Returns
    -------
    Tiles

    Example
    -------
    >>> from gatedrnn.cells import RAN
    >>> from gatedrnn.engine.trace import trace
    >>> step_tiles(Layout(trace(RAN(input_size=3, hidden_size=8))), 20, torch.float32)
    Tiles(rows=32, units={8: 16}, summed=32, warps=4, split=1)
    """
    widths = {s.width for s in layout.segments}
    wide = dtype.itemsize >= 4
    return Tiles(_power(batch, 16, 32), dict.fromkeys(widths, 16), 32 if wide else 64, 4)


def loop_tiles(layout: Layout, batch: int, dtype: torch.dtype, processors: int) -> Tiles:
    """Tiles of the paths with the loop inside. Not measured.

    Arguments
    ---------
    layout : Layout
        The cell.
    batch : int
        Sequences.
    dtype : torch.dtype
        Of the input.
    processors : int
        Streaming multiprocessors of the device: the persistent path runs one program on each, for
        programs that wait for each other must all be there at once.

    Returns
    -------
    Tiles

    Example
    -------
    >>> from gatedrnn.cells import LSTMP, SlimLSTM
    >>> from gatedrnn.engine.trace import trace
    >>> sizes = {"input_size": 80, "hidden_size": 1024}
    >>> loop_tiles(Layout(trace(LSTMP(**sizes))), 16, torch.bfloat16, 132)
    Tiles(rows=16, units={1024: 8}, summed=1024, warps=8, split=8)
    >>> loop_tiles(Layout(trace(SlimLSTM(variant="10", **sizes))), 16, torch.float32, 132)
    Tiles(rows=1, units={1024: 64}, summed=16, warps=2, split=1)
    """
    widths = {s.width for s in layout.segments}
    if layout.is_elementwise:
        # One unit of one sequence for each thread.
        return Tiles(1, dict.fromkeys(widths, 64), 16, 2)
    rows = _power(batch, 16, 64)
    programs = max(1, processors // _blocks(batch, rows))
    units = {w: _power(_blocks(w, programs), 8, 128) for w in widths}
    warps = 8 if rows * max(widths) >= 16 * 1024 else 4
    # The rows of one block stay below 32 registers of each thread; without tensor cores both
    # factors are in registers, and the compiler needs some for the products of both.
    summed = warps * 4096 // (rows * dtype.itemsize)
    if dtype.itemsize >= 4:
        summed //= 2
    return Tiles(rows, units, max(16, summed), warps, warps)


def table(
    buffers: Mapping[str, Buffer], tensors: Mapping[str, torch.Tensor], frames: int
) -> list[int]:
    """Entries of a kernel's table: first frame, number of frames, addresses.

    Arguments
    ---------
    buffers : Mapping
        The layout's, in the table's order.
    tensors : Mapping
        Those of them that exist.
    frames : int
        T.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If a tensor is not contiguous, or not aligned as the kernels assume.
    """
    entries = [0, frames]
    for name in buffers:
        tensor = tensors.get(name)
        if tensor is not None and not tensor.is_contiguous():
            raise ValueError(f"{name} is not contiguous")
        address = 0 if tensor is None else tensor.data_ptr()
        if address % 16:
            raise ValueError(f"{name} is not aligned to 16 bytes")
        entries.append(address)
    return entries


def _to_device(entries: list[int], device: torch.device) -> torch.Tensor:
    values = torch.tensor(entries, dtype=torch.int64)
    if device.type != "cuda":
        return values
    return values.pin_memory().to(device, non_blocking=True)


class FrameGraph:
    """``GRAPH_FRAMES`` frames of the step path in one CUDA graph.

    The kernels find everything through the table, so the graph serves any tensors of the same
    batch and widths, of any length: only the table changes. Replays of one graph follow each other
    on one stream.

    Arguments
    ---------
    launches : callable
        ``(table, frame)``: launches the kernels of one frame.
    size : int
        Entries of the table.
    device : torch.device
        Where.
    """

    def __init__(self, launches, size: int, device: torch.device) -> None:
        self.table = torch.zeros(size, dtype=torch.int64, device=device)
        # With no frames to do every kernel returns at once: this compiles, and computes nothing.
        launches(self.table, 0)
        torch.cuda.current_stream(device).synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            for frame in range(GRAPH_FRAMES):
                launches(self.table, frame)

    def run(self, entries: list[int], frames: int) -> None:
        """Runs a whole sequence."""
        self.table.copy_(torch.tensor(entries, dtype=torch.int64).pin_memory(), non_blocking=True)
        for start in range(0, frames, GRAPH_FRAMES):
            if start:
                self.table[0].fill_(start)
            self.graph.replay()


_GRAPHS: dict[tuple, FrameGraph] = {}


def _graphs_serve(device: torch.device) -> bool:
    if device.type != "cuda" or os.environ.get(GRAPHS) == "0":
        return False
    # Inside somebody else's recording the kernels are recorded one by one.
    return not torch.cuda.is_current_stream_capturing()


def run_steps(
    layout: Layout,
    module: ModuleType,
    backward: bool,
    entries: list[int],
    frames: int,
    batch: int,
    tiles: Tiles,
    device: torch.device,
) -> None:
    """Runs the step path over a sequence.

    Arguments
    ---------
    layout : Layout
        The cell.
    module : module
        Its printed kernels.
    backward : bool
        Direction.
    entries : list of int
        The table.
    frames : int
        T.
    batch : int
        B.
    tiles : Tiles
        Sizes of tiles.
    device : torch.device
        Where.
    """
    indices = list(range(len(layout.segments)))
    name = source.BACKWARD if backward else source.FORWARD
    plan = []
    for index in reversed(indices) if backward else indices:
        width = layout.segments[index].width
        sizes = {"BB": tiles.rows, f"BU_{width}": tiles.units[width], "BK": tiles.summed}
        grid = (*tiles.grid(batch, [width]), 1)
        plan.append((getattr(module, f"{name}_{index}")[grid], sizes))

    def launches(where: torch.Tensor, frame: int) -> None:
        for kernel, sizes in plan:
            kernel(where, frame, batch, **sizes, num_warps=tiles.warps)

    if not _graphs_serve(device):
        where = _to_device(entries, device)
        for frame in range(frames):
            launches(where, frame)
        return
    stream = torch.cuda.current_stream(device).cuda_stream
    key = (module.__name__, backward, batch, device, stream)
    # Taken out and put back, so that the first of the dictionary is the one longest unused.
    graph = _GRAPHS.pop(key, None) or FrameGraph(launches, len(entries), device)
    _GRAPHS[key] = graph
    if len(_GRAPHS) > KEPT_GRAPHS:
        del _GRAPHS[next(iter(_GRAPHS))]
    graph.run(entries, frames)


def run_loop(
    layout: Layout,
    module: ModuleType,
    backward: bool,
    entries: list[int],
    batch: int,
    tiles: Tiles,
    device: torch.device,
) -> None:
    """Runs a whole sequence in one launch: the persistent path, or the elementwise scan.

    Arguments
    ---------
    layout : Layout
        The cell.
    module : module
        Its printed kernels.
    backward : bool
        Direction.
    entries : list of int
        The table.
    batch : int
        B.
    tiles : Tiles
        Those the kernels were printed for.
    device : torch.device
        Where.

    Raises
    ------
    ValueError
        If the device has too few multiprocessors for programs that wait for each other.
    """
    widths = list(dict.fromkeys(s.width for s in layout.segments))
    kernel = getattr(module, source.LOOP_BACKWARD if backward else source.LOOP_FORWARD)
    grid = (*tiles.grid(batch, widths), 1)
    sizes = {f"BU_{w}": tiles.units[w] for w in widths}
    options = {"num_warps": tiles.warps, "num_stages": 1}
    if not layout.is_elementwise and device.type == "cuda":
        if grid[0] * grid[1] > processors(device):
            raise ValueError(
                f"{layout.step.plan.cell.label}: the persistent path would need {grid[0]} x "
                f"{grid[1]} programs at once, the device has {processors(device)} multiprocessors; "
                "unset GATEDRNN_TRITON_PATH"
            )
        # The driver then refuses a grid whose programs cannot all be there at once.
        options["launch_cooperative_grid"] = True
    kernel[grid](_to_device(entries, device), batch, BB=tiles.rows, **sizes, **options)


def processors(device: torch.device) -> int:
    """How many programs may wait for each other on a device; one where programs take turns."""
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
