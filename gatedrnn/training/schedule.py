"""Learning rate over the course of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

DECAYS = ("cosine", "linear", "exponential", "none")


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
