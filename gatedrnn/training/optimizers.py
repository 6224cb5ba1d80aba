"""Optimizers, and their learning rate by steps, by epochs, or by validation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

OPTIMIZERS = ("sgd", "adam", "adamw")
#: Of the learning rate within a training, and from epoch to epoch.
DECAYS = ("cosine", "linear", "exponential", "none")
EPOCH_DECAYS = ("epochs", "plateau", "worse", "none")


def make_optimiser(
    parameters: Iterable[Any],
    name: str,
    lr: float,
    momentum: float = 0.0,
    betas: Sequence[float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """Makes an optimizer by name, for YAML.

    Arguments
    ---------
    parameters : iterable
        Weights to train.
    name : str
        ``"sgd"``, ``"adam"`` or ``"adamw"``.
    lr : float
        Learning rate.
    momentum : float
        Momentum of ``"sgd"``.
    betas : sequence of float
        Averages of the gradient and its square, of ``"adam"`` and ``"adamw"``.
    weight_decay : float
        L2 penalty; ``"adamw"`` keeps it apart from the gradient.

    Example
    -------
    >>> weights = [torch.nn.Parameter(torch.zeros(1))]
    >>> type(make_optimiser(weights, "sgd", lr=1.0)).__name__
    'SGD'
    """
    if name == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)
    if name not in OPTIMIZERS:
        raise ValueError(f"optimiser must be one of {', '.join(OPTIMIZERS)}, not {name!r}")
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    # One pass over each weight instead of ten: with batches of one piece a tenth of a step's time.
    return kind(parameters, lr, betas=tuple(betas), weight_decay=weight_decay, fused=True)


def make_decay(
    name: str, factor: float = 0.5, after: int = 0, patience: int = 0
) -> EpochDecay | PlateauDecay | WorseDecay | None:
    """Makes the decay of the learning rate from epoch to epoch, for YAML.

    Arguments
    ---------
    name : str
        ``"epochs"``: in every epoch after some. ``"plateau"``: when validation no longer improves.
        ``"worse"``: when it is worse than in each of the last epochs. ``"none"``: never.
    factor : float
        Factor of each decay.
    after : int
        Epochs with the full rate, of ``"epochs"`` and ``"worse"``.
    patience : int
        Epochs without improvement that change nothing, of ``"plateau"``; the last epochs, of
        ``"worse"``.

    Example
    -------
    >>> make_decay("epochs", factor=0.8, after=6)
    EpochDecay(factor=0.8, after=6)
    """
    if name not in EPOCH_DECAYS:
        raise ValueError(f"rate_falls must be one of {', '.join(EPOCH_DECAYS)}, not {name!r}")
    if name == "epochs":
        return EpochDecay(factor, after)
    if name == "worse":
        return WorseDecay(factor, after, patience)
    return PlateauDecay(factor, patience) if name == "plateau" else None


@dataclass(frozen=True)
class WarmupDecay:
    """Linear warm-up by optimizer steps, then decay over the training.

    It is computed from two counts, and has no state.

    Arguments
    ---------
    warmup_steps : int
        Optimizer steps from 0 to the full learning rate.
    decay : str
        ``"cosine"``, ``"linear"``, ``"exponential"`` or ``"none"``.
    hold : float
        Fraction of the training, in [0, 1), before the decay.
    final : float
        Factor on the full rate at the end, in (0, 1].

    Example
    -------
    >>> schedule = WarmupDecay(warmup_steps=10, decay="linear", final=0.1)
    >>> schedule(step=4, progress=0.0), round(schedule(step=99, progress=1.0), 3)
    (0.5, 0.1)
    """

    warmup_steps: int = 0
    decay: str = "cosine"
    hold: float = 0.0
    final: float = 0.01

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise ValueError(f"decay must be one of {', '.join(DECAYS)}, not {self.decay!r}")
        if self.warmup_steps < 0 or not 0.0 <= self.hold < 1.0 or not 0.0 < self.final <= 1.0:
            raise ValueError(
                "warmup_steps must be at least 0, hold in [0, 1) and final in (0, 1], not "
                f"{self.warmup_steps}, {self.hold} and {self.final}"
            )

    def __call__(self, step: int, progress: float) -> float:
        """Factor on the full learning rate."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        done = min(1.0, max(0.0, (progress - self.hold) / (1.0 - self.hold)))
        left = {
            "cosine": self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * done)),
            "linear": 1.0 + (self.final - 1.0) * done,
            "exponential": self.final**done,
            "none": 1.0,
        }
        return warm * left[self.decay]


@dataclass(frozen=True)
class EpochDecay:
    """Decay by a factor in each epoch after the first ones, as usual for language models.

    Arguments
    ---------
    factor : float
        Factor of each decay, in (0, 1].
    after : int
        Epochs with the full rate.

    Example
    -------
    >>> decay = EpochDecay(factor=0.5, after=2)
    >>> [decay(epoch, []) for epoch in (1, 2, 3, 4)]
    [1.0, 1.0, 0.5, 0.25]
    """

    factor: float = 0.8
    after: int = 6

    def __post_init__(self) -> None:
        if not 0.0 < self.factor <= 1.0 or self.after < 0:
            raise ValueError(
                f"factor must be in (0, 1] and after at least 0, not {self.factor} and {self.after}"
            )

    def __call__(self, epoch: int, history: Sequence[float]) -> float:
        """Factor on the full learning rate."""
        return self.factor ** max(0, epoch - self.after)


@dataclass(frozen=True)
class PlateauDecay:
    """Decay by a factor when the validation no longer improves.

    It is computed from the history of the validation, and has no state.

    Arguments
    ---------
    factor : float
        Factor of each decay, in (0, 1].
    patience : int
        Epochs without improvement before a decay.
    min_improvement : float
        Minimum improvement, as a fraction of the best value.
    continuous : bool
        After the first decay, decay in every epoch (Mikolov).

    Example
    -------
    >>> decay = PlateauDecay(factor=0.5)
    >>> decay(5, [100.0, 90.0, 91.0, 89.0]), decay(4, [100.0, 101.0, 100.5])
    (0.5, 0.25)
    """

    factor: float = 0.5
    patience: int = 0
    min_improvement: float = 0.0
    continuous: bool = False

    def __post_init__(self) -> None:
        if (
            not 0.0 < self.factor <= 1.0
            or self.patience < 0
            or not 0.0 <= self.min_improvement < 1.0
        ):
            raise ValueError(
                "factor must be in (0, 1], patience at least 0 and min_improvement in [0, 1), not "
                f"{self.factor}, {self.patience} and {self.min_improvement}"
            )

    def __call__(self, epoch: int, history: Sequence[float]) -> float:
        """Factor on the full learning rate."""
        rate, best, waited = 1.0, math.inf, 0
        for figure in history:
            if figure < best * (1.0 - self.min_improvement):
                waited = 0
            else:
                waited += 1
            best = min(best, figure)
            if waited > self.patience or (self.continuous and rate < 1.0):
                rate, waited = rate * self.factor, 0
        return rate


@dataclass(frozen=True)
class WorseDecay:
    """Decay by a factor whenever the validation is worse than in each of the last epochs.

    Arguments
    ---------
    factor : float
        Factor of each decay, in (0, 1].
    after : int
        Epochs with the full rate.
    recent : int
        Number of last epochs that a validation is compared with.

    Example
    -------
    >>> decay = WorseDecay(factor=0.5, recent=2)
    >>> decay(4, [9.0, 8.0, 8.5]), decay(5, [9.0, 8.0, 8.5, 8.6])
    (1.0, 0.5)
    """

    factor: float = 0.5
    after: int = 0
    recent: int = 3

    def __post_init__(self) -> None:
        if not 0.0 < self.factor <= 1.0 or self.after < 0 or self.recent < 1:
            raise ValueError(
                "factor must be in (0, 1], after at least 0 and recent at least 1, not "
                f"{self.factor}, {self.after} and {self.recent}"
            )

    def __call__(self, epoch: int, history: Sequence[float]) -> float:
        """Factor on the full learning rate."""
        worse = sum(
            history[place] > max(history[max(0, place - self.recent) : place])
            for place in range(max(1, self.after), len(history))
        )
        return self.factor**worse
