"""How often a decoder reads, in training, what it has said itself (Bengio et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScheduledSampling:
    """The share of words that a decoder reads from itself instead of from the reference.

    Arguments
    ---------
    first : int
        Epoch with which it begins.
    every : int
        Epochs after which it rises again.
    step : float
        By how much it rises each time, the first time included.
    most : float
        Where it ends; 0 for never.

    Raises
    ------
    ValueError
        If a value is out of its range.

    Example
    -------
    >>> schedule = ScheduledSampling(first=3, every=2, step=0.1, most=0.25)
    >>> [schedule(epoch) for epoch in (2, 3, 4, 5, 7, 99)]
    [0.0, 0.1, 0.1, 0.2, 0.25, 0.25]
    """

    first: int = 1
    every: int = 5
    step: float = 0.05
    most: float = 0.25

    def __post_init__(self) -> None:
        if self.first < 1 or self.every < 1:
            raise ValueError(
                f"first and every must be at least 1, not {self.first} and {self.every}"
            )
        if not (0.0 < self.step <= 1.0 and 0.0 <= self.most <= 1.0):
            raise ValueError(
                f"step must be in (0, 1] and most in [0, 1], not {self.step} and {self.most}"
            )

    def __call__(self, epoch: int) -> float:
        """The share in an epoch.

        Arguments
        ---------
        epoch : int
            Number of the epoch, from 1.

        Returns
        -------
        float
        """
        times = max(0, (epoch - self.first) // self.every + 1) if epoch >= self.first else 0
        return min(self.most, times * self.step)
