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
    """Makes an optimiser.

    Arguments
    ---------
    parameters : iterable
        What it trains.
    name : str
        ``"sgd"``, ``"adam"`` or ``"adamw"``.
    lr : float
        Learning rate.
    momentum : float
        Of ``"sgd"``.
    betas : sequence of float
        Of the others.
    weight_decay : float
        Of all; ``"adamw"`` keeps it apart from the gradient.

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    ValueError
        If there is no such optimiser.

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
    """Makes what lets the learning rate fall from epoch to epoch.

    Arguments
    ---------
    name : str
        ``"epochs"``: in every epoch after some. ``"plateau"``: when validation no longer improves.
        ``"worse"``: when it is worse than in each of the last epochs. ``"none"``: never.
    factor : float
        What is left of the rate.
    after : int
        Epochs with the full rate, of ``"epochs"`` and ``"worse"``.
    patience : int
        Epochs without improvement that change nothing, of ``"plateau"``; the last epochs, of
        ``"worse"``.

    Returns
    -------
    EpochDecay or PlateauDecay or WorseDecay or None

    Raises
    ------
    ValueError
        If there is no such way.

    Example
    -------
    >>> make_decay("epochs", factor=0.8, after=6)
    EpochDecay(factor=0.8, after=6)
    """
    if name not in EPOCH_DECAYS:
        raise ValueError(f"rate_decay must be one of {', '.join(EPOCH_DECAYS)}, not {name!r}")
    if name == "epochs":
        return EpochDecay(factor, after)
    if name == "worse":
        return WorseDecay(factor, after, patience)
    return PlateauDecay(factor, patience) if name == "plateau" else None


@dataclass(frozen=True)
class WarmupDecay:
    """Linear warm-up by optimiser steps, then a decay by the part of the training that is done.

    It is a function of two counts that checkpoints hold anyway, so it has no state of its own.

    Arguments
    ---------
    warmup_steps : int
        Optimiser steps from 0 to the full learning rate.
    decay : str
        ``"cosine"``, ``"linear"``, ``"exponential"`` or ``"none"``.
    hold : float
        Part of the training, in [0, 1), before which the rate does not decay.
    final : float
        What part of the full rate is left at the end.

    Raises
    ------
    ValueError
        If an argument is out of its range.

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
        """Factor on the full learning rate.

        Arguments
        ---------
        step : int
            Optimiser steps done.
        progress : float
            Part of the training that is done, 0 to 1.

        Returns
        -------
        float
        """
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
    """The rate falls by a factor in each epoch after some: how language models are trained.

    Arguments
    ---------
    factor : float
        What is left of the rate after an epoch, in (0, 1].
    after : int
        Epochs with the full rate.

    Raises
    ------
    ValueError
        If an argument is out of its range.

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
        """Factor on the full learning rate.

        Arguments
        ---------
        epoch : int
            Number of the epoch, from 1.
        history : sequence of float
            Figures of the validations so far; makes no difference.

        Returns
        -------
        float
        """
        return self.factor ** max(0, epoch - self.after)


@dataclass(frozen=True)
class PlateauDecay:
    """The rate falls by a factor when validation no longer improves.

    It is a function of the figures that the training log holds anyway, so it has no state of its
    own.

    Arguments
    ---------
    factor : float
        What is left of the rate, in (0, 1].
    patience : int
        Epochs without an improvement that change nothing.
    least : float
        What part of the best figure so far counts as an improvement.
    goes_on : bool
        Once the rate has begun to fall, let it fall in every epoch (Mikolov's way).

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Example
    -------
    >>> decay = PlateauDecay(factor=0.5)
    >>> decay(5, [100.0, 90.0, 91.0, 89.0]), decay(4, [100.0, 101.0, 100.5])
    (0.5, 0.25)
    """

    factor: float = 0.5
    patience: int = 0
    least: float = 0.0
    goes_on: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.factor <= 1.0 or self.patience < 0 or not 0.0 <= self.least < 1.0:
            raise ValueError(
                "factor must be in (0, 1], patience at least 0 and least in [0, 1), not "
                f"{self.factor}, {self.patience} and {self.least}"
            )

    def __call__(self, epoch: int, history: Sequence[float]) -> float:
        """Factor on the full learning rate.

        Arguments
        ---------
        epoch : int
            Number of the epoch; makes no difference.
        history : sequence of float
            Figures of the validations so far, the lower the better.

        Returns
        -------
        float
        """
        rate, best, waited = 1.0, math.inf, 0
        for figure in history:
            if figure < best * (1.0 - self.least):
                waited = 0
            else:
                waited += 1
            best = min(best, figure)
            if waited > self.patience or (self.goes_on and rate < 1.0):
                rate, waited = rate * self.factor, 0
        return rate


@dataclass(frozen=True)
class WorseDecay:
    """The rate falls by a factor whenever validation is worse than in each of the last epochs.

    Arguments
    ---------
    factor : float
        What is left of the rate, in (0, 1].
    after : int
        Epochs with the full rate.
    recent : int
        Number of epochs that a validation is held against.

    Raises
    ------
    ValueError
        If an argument is out of its range.

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
        """Factor on the full learning rate.

        Arguments
        ---------
        epoch : int
            Number of the epoch; makes no difference.
        history : sequence of float
            Figures of the validations so far, the lower the better.

        Returns
        -------
        float
        """
        worse = sum(
            history[place] > max(history[max(0, place - self.recent) : place])
            for place in range(max(1, self.after), len(history))
        )
        return self.factor**worse
