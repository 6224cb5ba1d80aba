"""Times implementations in turn, so that a drift of the machine affects all; peak memory."""

from __future__ import annotations

import gc
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gatedrnn.experiments.bench.implementations import Implementation, Shape

WORKS = ("forward", "train", "stream")


@dataclass(frozen=True)
class Timing:
    """Seconds of an implementation, one per round, and ratios to the baseline's in that round."""

    name: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median time, in seconds."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """Median of the ratios to the baseline."""
        return statistics.median(self.ratios)


def make_step(
    net: nn.Module, shape: Shape, work: str, device: torch.device, dtype: torch.dtype
) -> Callable[[], None]:
    """The work to be timed, as a function without arguments.

    ``work``: "forward" (evaluation), "train" (forward and backward, to the input too) or "stream"
    (one frame of one sequence, with the state carried over).
    """
    net = net.to(device=device, dtype=dtype)
    generator = torch.Generator().manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator).to(device=device, dtype=dtype)

    if work == "stream":
        net.eval()
        frame, state = random(1, 1, shape.input_size), None

        @torch.inference_mode()
        def stream() -> None:
            nonlocal state
            _, state = net(frame, state)

        return stream
    x = random(shape.batch, shape.frames, shape.input_size)
    if work == "forward":
        net.eval()

        @torch.inference_mode()
        def forward() -> None:
            net(x)

        return forward
    if work != "train":
        raise ValueError(f"work must be one of {', '.join(WORKS)}, not {work!r}")
    net.train()
    x.requires_grad_()

    def train() -> None:
        result = net(x)
        output = result[0] if isinstance(result, tuple) else result
        output.sum().backward()
        x.grad = None
        net.zero_grad(set_to_none=True)

    return train


def measure(
    implementations: Sequence[Implementation],
    shape: Shape,
    work: str,
    *,
    rounds: int = 7,
    min_seconds: float = 0.0,
    max_seconds: float = math.inf,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> list[Timing]:
    """Times implementations in turn; the first one is the baseline.

    ``rounds``: those that count, after two warm-up calls; ``min_seconds``: short work is repeated
    until a measurement lasts this long; ``max_seconds``: no round but the first begins after this
    long.

    Example
    -------
    >>> from gatedrnn.experiments.bench.implementations import ours, torch_lstm
    >>> shape = Shape(1, 2, 4)
    >>> [t.name for t in measure([torch_lstm(), ours("ran")], shape, "forward", rounds=1)]
    ['nn.LSTM', 'ran']
    """
    place = torch.device(device)
    begun = time.perf_counter()
    steps = [make_step(c.build(shape), shape, work, place, dtype) for c in implementations]
    repeats = [1] * len(steps)
    for index, step in enumerate(steps):
        once = _clock(step, 1, place)
        once = min(once, _clock(step, 1, place))
        repeats[index] = max(1, round(min_seconds / max(once, 1e-7)))
    times: list[list[float]] = [[] for _ in steps]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            if number and time.perf_counter() - begun > max_seconds:
                break
            for kept, step, repeat in zip(times, steps, repeats, strict=True):
                kept.append(_clock(step, repeat, place))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return [
        Timing(c.name, tuple(t), tuple(a / b for a, b in zip(t, times[0], strict=True)))
        for c, t in zip(implementations, times, strict=True)
    ]


def _clock(step: Callable[[], None], repeat: int, device: torch.device) -> float:
    """Seconds of one step, over ``repeat`` of them."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(repeat):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / repeat


# ---- memory ------------------------------------------------------------------------------------


def peak_memory(
    builders: Sequence[Callable[[], Implementation]], shape: Shape, *, device: str = "cpu"
) -> dict[str, int]:
    """Name -> bytes that a training step takes beyond weights and input.

    Each implementation is built by its function in a fresh process, so it must be picklable; on a
    GPU torch's own count is taken.
    """
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for build in builders:
        with context.Pool(1) as pool:
            name, size = pool.apply(_peak_memory, (build, shape, device, torch.get_num_threads()))
        peaks[name] = size
    return peaks


def _peak_memory(
    build: Callable[[], Implementation], shape: Shape, device: str, threads: int
) -> tuple[str, int]:
    torch.set_num_threads(threads)
    implementation, place = build(), torch.device(device)
    # A small step first: libraries, compiled kernels and thread stacks must not count.
    small = Shape(1, 2, shape.hidden, shape.layers, shape.proj, shape.inputs)
    net = implementation.build(shape)
    make_step(net, small, "train", place, torch.float32)()
    step = make_step(net, shape, "train", place, torch.float32)
    if place.type == "cuda":
        torch.cuda.synchronize(place)
        torch.cuda.reset_peak_memory_stats(place)
        before = torch.cuda.memory_allocated(place)
        step()
        return implementation.name, torch.cuda.max_memory_allocated(place) - before
    before = _reset_peak()
    step()
    return implementation.name, _peak() - before


def _reset_peak() -> int:
    """Resets the system's peak of this process; its resident size, in bytes.

    ``getrusage`` is of no use: its peak includes the imports.
    """
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError as error:
        raise ValueError(
            f"peak memory on a CPU is read from Linux's /proc, which is not available here: {error}"
        ) from error
    return _peak()


def _peak() -> int:
    """Largest resident size since the last reset, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) * 1024
