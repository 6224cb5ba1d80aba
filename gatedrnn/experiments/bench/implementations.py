"""Timed networks and named suites; timing in turn, so that a drift of the machine affects all."""

from __future__ import annotations

import gc
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gatedrnn import nnet
from gatedrnn.cells import find
from gatedrnn.engine.plan import INPUT

SLIM = ("1", "2", "3", "4", "4a", "5", "5a", "6", "10", "11", "C6")
#: Sizes that the suite ``scaling`` varies, one at a time, from this shape.
GROWING = {
    "frames": (50, 100, 200, 400, 800),
    "batch": (1, 4, 8, 16, 32),
    "hidden": (64, 128, 256, 512),
    "layers": (1, 2, 5, 10),
}
WORKS = ("forward", "train", "stream")


@dataclass(frozen=True)
class Shape:
    """Sizes: B sequences of T frames, K cells, L layers, N projection (0: none), m inputs.

    ``inputs`` 0 stands for the output width, as above the first layer.
    """

    batch: int
    frames: int
    hidden: int
    layers: int = 1
    proj: int = 0
    inputs: int = 0

    @property
    def input_size(self) -> int:
        """m."""
        return self.inputs or self.proj or self.hidden

    def __str__(self) -> str:
        proj = f" N{self.proj}" if self.proj else ""
        return f"B{self.batch} T{self.frames} K{self.hidden}{proj} L{self.layers}"


@dataclass(frozen=True)
class Implementation:
    """A network that can be timed.

    ``build``: Shape -> module that takes (batch, time, features) and returns (output, state) or an
    output; ``options``: for the record; ``carries_state``: whether it can be called frame by frame
    with its state.
    """

    name: str
    build: Callable[[Shape], nn.Module]
    options: dict[str, Any] = field(default_factory=dict)
    carries_state: bool = True


def ours(key: str, **options: Any) -> Implementation:
    """One of our recurrences, by its key of ``gatedrnn list``, with its options."""
    cell = find(key)
    label = " ".join([cell.key, *(f"{n}={v}" for n, v in options.items())])

    def build(shape: Shape) -> nn.Module:
        return nnet.build(
            key,
            hidden_size=shape.hidden,
            input_size=shape.input_size,
            num_layers=shape.layers,
            proj_size=shape.proj,
            re_init=False,
            **options,
        )

    return Implementation(label, build, {"recurrence": cell.key, **options})


class Streamed(nn.Module):
    """A compiled stream of a stack, called like a stack that carries its state.

    Example
    -------
    >>> Streamed(nnet.RAN(4, input_size=3), None)(torch.rand(1, 1, 3))[0].shape
    torch.Size([1, 1, 4])
    """

    def __init__(self, stack: nnet.RecurrentStack, quantize: str | None) -> None:
        super().__init__()
        self._stream = nnet.StreamingStack(stack, quantize)

    def forward(self, x: torch.Tensor, state: None = None) -> tuple[torch.Tensor, None]:
        """One frame, (1, 1, features); the stream keeps its state itself."""
        return self._stream(x[:, 0]).unsqueeze(1), None


def streamed(key: str, quantize: str | None = None, **options: Any) -> Implementation:
    """One of our recurrences as a compiled stream; ``quantize`` "int8" for 8-bit weights."""
    stack = ours(key, **options)
    label = f"{stack.name} streamed" + (f" {quantize}" if quantize else "")
    return Implementation(
        label, lambda s: Streamed(stack.build(s), quantize), stack.options | {"quantize": quantize}
    )


def torch_lstm() -> Implementation:
    """``torch.nn.LSTM``, without projection whatever the shape."""
    return Implementation(
        "nn.LSTM",
        lambda s: nn.LSTM(s.input_size, s.hidden, s.layers, batch_first=True),
    )


def torch_lstm_proj() -> Implementation:
    """``torch.nn.LSTM(proj_size=N)``."""
    return Implementation(
        "nn.LSTM(proj_size)",
        lambda s: nn.LSTM(s.input_size, s.hidden, s.layers, batch_first=True, proj_size=s.proj),
    )


def torch_gru() -> Implementation:
    """``torch.nn.GRU``."""
    return Implementation(
        "nn.GRU", lambda s: nn.GRU(s.input_size, s.hidden, s.layers, batch_first=True)
    )


def ligru(scripted: bool) -> Implementation:
    """SpeechBrain's LiGRU, eager or compiled by TorchScript."""

    def build(shape: Shape) -> nn.Module:
        from speechbrain.nnet.RNN import LiGRU

        net = LiGRU(
            shape.hidden,
            (shape.batch, shape.frames, shape.input_size),
            num_layers=shape.layers,
            bidirectional=False,
            re_init=False,
        )
        return torch.jit.script(net) if scripted else net

    name = "LiGRU scripted" if scripted else "LiGRU"
    return Implementation(f"speechbrain {name}", build, carries_state=False)


class Products(nn.Module):
    """The matrix products of a stack and nothing else, each over all frames at once."""

    def __init__(self, stack: nnet.RecurrentStack) -> None:
        super().__init__()
        matrices = [
            (name == INPUT, p.detach())
            for pair in stack.layers
            for name, p in pair[0].named_parameters()
            if p.dim() == 2
        ]
        self.from_input = [flag for flag, _ in matrices]
        self.weights = nn.ParameterList([nn.Parameter(w) for _, w in matrices])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of the first elements of all products (so that none is left out)."""
        rows = x.shape[0] * x.shape[1]
        total = x.new_zeros(())
        for weight in self.weights:
            source = torch.empty(rows, weight.shape[1], dtype=x.dtype, device=x.device).fill_(0.5)
            source.requires_grad_(torch.is_grad_enabled())
            total = total + nn.functional.linear(source, weight)[:, ::97].sum()
        return total


def products(key: str, **options: Any) -> Implementation:
    """The matrix products of one of our recurrences: a lower bound of its time."""
    stack = ours(key, **options)
    return Implementation(
        f"products of {stack.name}",
        lambda shape: Products(stack.build(shape)),
        stack.options,
        carries_state=False,
    )


# ---- suites ------------------------------------------------------------------------------------

#: Batch, frames and units on which recurrences without projection are compared.
PLAIN_SHAPES = (Shape(16, 400, 512), Shape(8, 1000, 320), Shape(20, 35, 650))
DISTANT = Shape(8, 200, 1024, layers=10, proj=512)


@dataclass(frozen=True)
class Benchmark:
    """One table: implementations, the first of them the baseline, on one kind of work.

    ``work``: "forward", "train" or "stream", see
    :func:`gatedrnn.experiments.bench.implementations.make_step`.
    """

    implementations: tuple[Implementation, ...]
    shape: Shape
    work: str


def lstm_family() -> tuple[Implementation, ...]:
    """The recurrences with the products of an LSTM."""
    return (
        ours("lstmp"),
        ours("highway"),
        ours("depth_gated"),
        ours("residual"),
        ours("slim", variant="base"),
        ours("g2"),
        ours("coupled"),
    )


def distant() -> Iterator[Benchmark]:
    """Ten layers with projection, the distant-speech size, against ``nn.LSTM(proj_size)``."""
    own = (ours("lstmp"), ours("highway"), ours("residual"), ours("ran"))
    for work in ("forward", "train"):
        yield Benchmark((torch_lstm_proj(), *own, products("residual")), DISTANT, work)


def plain() -> Iterator[Benchmark]:
    """Every recurrence without projection, one layer, against ``nn.LSTM``."""
    own = (*lstm_family(), ours("ran"), *(ours("slim", variant=v) for v in SLIM))
    for shape in PLAIN_SHAPES:
        for work in ("forward", "train"):
            yield Benchmark((torch_lstm(), torch_gru(), *own, products("lstmp")), shape, work)


def deep() -> Iterator[Benchmark]:
    """Ten layers without projection, one recurrence of each kind, against ``nn.LSTM``."""
    slim = (ours("slim", variant=v) for v in ("1", "5", "10"))
    own = (ours("lstmp"), ours("highway"), ours("residual"), ours("ran"), *slim)
    for shape in PLAIN_SHAPES:
        for work in ("forward", "train"):
            yield Benchmark(
                (torch_lstm(), *own, products("lstmp")), replace(shape, layers=10), work
            )


def beta() -> Iterator[Benchmark]:
    """The stochastic gates, against ``nn.LSTM``."""
    own = tuple(ours("beta", variant=v) for v in ("beta", "3g", "5g"))
    for shape in PLAIN_SHAPES:
        yield Benchmark((torch_lstm(), *own, ours("g2")), shape, "train")


def against_ligru() -> Iterator[Benchmark]:
    """One of each kind against SpeechBrain's LiGRU, eager and scripted."""
    own = (ours("lstmp"), ours("residual"), ours("ran"), ours("slim", variant="10"))
    for work in ("forward", "train"):
        yield Benchmark((ligru(False), ligru(True), *own), Shape(8, 200, 512, layers=4), work)


def stream() -> Iterator[Benchmark]:
    """One frame of one sequence through ten layers."""
    keys = ("lstmp", "residual", "ran")
    own = [ours("lstmp"), *(streamed(k, q) for k in keys for q in (None, "int8"))]
    for hidden in (320, 512, 1024):
        yield Benchmark((torch_lstm(), *own), Shape(1, 1, hidden, layers=10), "stream")


SCALING_BASE = Shape(8, 100, 256, layers=2)


def scaling() -> Iterator[Benchmark]:
    """Cost of a residual stack as T, B, K and L grow, one at a time."""
    shapes = [replace(SCALING_BASE, **{n: v}) for n, values in GROWING.items() for v in values]
    # The common base shape is timed once.
    for shape in dict.fromkeys(shapes):
        yield Benchmark((torch_lstm(), ours("residual")), shape, "train")


SUITES = {
    "distant": distant,
    "plain": plain,
    "deep": deep,
    "beta": beta,
    "ligru": against_ligru,
    "stream": stream,
    "scaling": scaling,
}


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
