"""Times contenders in turn, in one process, so that a drifting machine drifts for all."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gatedrnn.experiments.bench.implementations import Contender, Shape

WORKS = ("forward", "train", "stream")


@dataclass(frozen=True)
class Timing:
    """Times of one contender.

    Arguments
    ---------
    name : str
        The contender.
    seconds : tuple of float
        One for each round.
    ratios : tuple of float
        Each divided by the baseline's time in the same round.
    """

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

    Arguments
    ---------
    net : nn.Module
        Takes (batch, time, features).
    shape : Shape
        Sizes.
    work : str
        ``"forward"`` (evaluation), ``"train"`` (forward and backward, to the input too) or
        ``"stream"`` (one frame of one sequence, the state carried).
    device : torch.device
        Where.
    dtype : torch.dtype
        Of weights and input.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        If there is no such work.

    Example
    -------
    >>> step = make_step(nn.LSTM(3, 4, batch_first=True), Shape(2, 5, 4, inputs=3), "train",
    ...                  torch.device("cpu"), torch.float32)
    >>> step()
    """
    net = net.to(device=device, dtype=dtype)
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator).to(device=device, dtype=dtype)

    if work == "stream":
        net.eval()
        frame, state = draw(1, 1, shape.input_size), None

        @torch.inference_mode()
        def stream() -> None:
            nonlocal state
            _, state = net(frame, state)

        return stream
    x = draw(shape.batch, shape.frames, shape.input_size)
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
    contenders: Sequence[Contender],
    shape: Shape,
    work: str,
    *,
    rounds: int = 7,
    least_seconds: float = 0.0,
    most_seconds: float = math.inf,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> list[Timing]:
    """Times contenders in turn; the first one is the baseline.

    Arguments
    ---------
    contenders : sequence of Contender
        The first is the one that ratios are to.
    shape : Shape
        Sizes.
    work : str
        See :func:`make_step`.
    rounds : int
        Rounds that count, after two that do not.
    least_seconds : float
        Short work is repeated until a measurement lasts this long.
    most_seconds : float
        No round but the first begins after this long.
    device : str
        Where.
    dtype : torch.dtype
        Of weights and input.

    Returns
    -------
    list of Timing
        In the order of the contenders.

    Example
    -------
    >>> from gatedrnn.experiments.bench.implementations import ours, torch_lstm
    >>> shape = Shape(1, 2, 4)
    >>> [t.name for t in measure([torch_lstm(), ours("ran")], shape, "forward", rounds=1)]
    ['nn.LSTM', 'ran']
    """
    place = torch.device(device)
    begun = time.perf_counter()
    steps = [make_step(c.build(shape), shape, work, place, dtype) for c in contenders]
    repeats = [1] * len(steps)
    for index, step in enumerate(steps):
        once = _clock(step, 1, place)
        once = min(once, _clock(step, 1, place))
        repeats[index] = max(1, round(least_seconds / max(once, 1e-7)))
    times: list[list[float]] = [[] for _ in steps]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds):
            if number and time.perf_counter() - begun > most_seconds:
                break
            for kept, step, repeat in zip(times, steps, repeats, strict=True):
                kept.append(_clock(step, repeat, place))
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return [
        Timing(c.name, tuple(t), tuple(a / b for a, b in zip(t, times[0], strict=True)))
        for c, t in zip(contenders, times, strict=True)
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
