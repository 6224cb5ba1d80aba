"""Peak memory of a training step, each contender in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence

import torch

from gatedrnn.experiments.bench.implementations import Contender, Shape
from gatedrnn.experiments.bench.measure import make_step


def peak_memory(
    contenders: Sequence[Callable[[], Contender]], shape: Shape, *, device: str = "cpu"
) -> dict[str, int]:
    """Memory a training step takes beyond weights and input.

    Arguments
    ---------
    contenders : sequence of callable
        Each makes a contender; called in a fresh process, so it must be picklable.
    shape : Shape
        Sizes.
    device : str
        Where; on a GPU torch's own count is taken.

    Returns
    -------
    dict
        Name -> bytes.
    """
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for make in contenders:
        with context.Pool(1) as pool:
            name, size = pool.apply(_one, (make, shape, device, torch.get_num_threads()))
        peaks[name] = size
    return peaks


def _one(make: Callable[[], Contender], shape: Shape, device: str, threads: int) -> tuple[str, int]:
    torch.set_num_threads(threads)
    contender, place = make(), torch.device(device)
    # A small step first: libraries, compiled kernels and thread stacks are not the step's.
    small = Shape(1, 2, shape.hidden, shape.layers, shape.proj, shape.inputs)
    net = contender.build(shape)
    make_step(net, small, "train", place, torch.float32)()
    step = make_step(net, shape, "train", place, torch.float32)
    if place.type == "cuda":
        torch.cuda.synchronize(place)
        torch.cuda.reset_peak_memory_stats(place)
        before = torch.cuda.memory_allocated(place)
        step()
        return contender.name, torch.cuda.max_memory_allocated(place) - before
    before = _forget_peak()
    step()
    return contender.name, _peak() - before


def _forget_peak() -> int:
    """Makes the system count this process's peak from now on; the resident size, in bytes.

    ``getrusage`` does not do: its peak is of the process's whole life, imports included.
    """
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError as error:
        raise ValueError(
            f"peak memory on a CPU is read from Linux's /proc, which is not to be had here: {error}"
        ) from error
    return _peak()


def _peak() -> int:
    """Largest resident size since it was last forgotten, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) * 1024
