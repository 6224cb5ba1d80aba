"""What is worth timing: named groups of work, each against its rival."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gatedrnn.experiments.bench.implementations import (
    Contender,
    Shape,
    ligru,
    ours,
    products,
    streamed,
    torch_gru,
    torch_lstm,
    torch_lstm_proj,
)

#: Batch, frames and units on which recurrences without projection are compared.
PLAIN_SHAPES = (Shape(16, 400, 512), Shape(8, 1000, 320), Shape(20, 35, 650))
DISTANT = Shape(8, 200, 1024, layers=10, proj=512)
SLIM = ("1", "2", "3", "4", "4a", "5", "5a", "6", "10", "11", "C6")


@dataclass(frozen=True)
class Race:
    """One table: contenders, the first of them the baseline, on one piece of work.

    Arguments
    ---------
    contenders : tuple of Contender
        The first one is the baseline.
    shape : Shape
        Sizes.
    work : str
        ``"forward"``, ``"train"`` or ``"stream"``.
    """

    contenders: tuple[Contender, ...]
    shape: Shape
    work: str


def lstm_family() -> tuple[Contender, ...]:
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


def distant() -> Iterator[Race]:
    """Ten layers with projection, the distant-speech size, against ``nn.LSTM(proj_size)``."""
    own = (ours("lstmp"), ours("highway"), ours("residual"), ours("ran"))
    for work in ("forward", "train"):
        yield Race((torch_lstm_proj(), *own, products("residual")), DISTANT, work)


def plain() -> Iterator[Race]:
    """Every recurrence without projection, one layer, against ``nn.LSTM``."""
    own = (*lstm_family(), ours("ran"), *(ours("slim", variant=v) for v in SLIM))
    for shape in PLAIN_SHAPES:
        for work in ("forward", "train"):
            yield Race((torch_lstm(), torch_gru(), *own, products("lstmp")), shape, work)


def deep() -> Iterator[Race]:
    """Ten layers without projection, one recurrence of each kind, against ``nn.LSTM``."""
    slim = (ours("slim", variant=v) for v in ("1", "5", "10"))
    own = (ours("lstmp"), ours("highway"), ours("residual"), ours("ran"), *slim)
    for shape in PLAIN_SHAPES:
        for work in ("forward", "train"):
            yield Race((torch_lstm(), *own, products("lstmp")), replace(shape, layers=10), work)


def beta() -> Iterator[Race]:
    """The stochastic gates, against ``nn.LSTM``."""
    own = tuple(ours("beta", variant=v) for v in ("beta", "3g", "5g"))
    for shape in PLAIN_SHAPES:
        yield Race((torch_lstm(), *own, ours("g2")), shape, "train")


def against_ligru() -> Iterator[Race]:
    """One of each kind against SpeechBrain's LiGRU, eager and scripted."""
    own = (ours("lstmp"), ours("residual"), ours("ran"), ours("slim", variant="10"))
    for work in ("forward", "train"):
        yield Race((ligru(False), ligru(True), *own), Shape(8, 200, 512, layers=4), work)


def stream() -> Iterator[Race]:
    """One frame of one sequence through ten layers."""
    keys = ("lstmp", "residual", "ran")
    own = [ours("lstmp"), *(streamed(k, q) for k in keys for q in (None, "int8"))]
    for hidden in (320, 512, 1024):
        yield Race((torch_lstm(), *own), Shape(1, 1, hidden, layers=10), "stream")


#: What grows in the suite ``scaling``, one at a time, from this shape.
GROWING = {
    "frames": (50, 100, 200, 400, 800),
    "batch": (1, 4, 8, 16, 32),
    "hidden": (64, 128, 256, 512),
    "layers": (1, 2, 5, 10),
}
SCALING_BASE = Shape(8, 100, 256, layers=2)


def scaling() -> Iterator[Race]:
    """Cost of a residual stack as T, B, K and L grow, one at a time."""
    shapes = [replace(SCALING_BASE, **{n: v}) for n, values in GROWING.items() for v in values]
    # The shape that all start from is timed once.
    for shape in dict.fromkeys(shapes):
        yield Race((torch_lstm(), ours("residual")), shape, "train")


SUITES = {
    "distant": distant,
    "plain": plain,
    "deep": deep,
    "beta": beta,
    "ligru": against_ligru,
    "stream": stream,
    "scaling": scaling,
}
