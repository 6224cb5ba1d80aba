"""Means and spreads over seeds, and networks compared seed by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

#: What an interval covers.
LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Arguments
    ---------
    mean : float
        Their mean.
    deviation : float or None
        The sample standard deviation; ``None`` for one seed.
    count : int
        Number of seeds.
    """

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Paired:
    """A network compared with another one, seed by seed.

    Arguments
    ---------
    difference : float
        The mean of its figures less the other one's.
    low, high : float or None
        The 95 % confidence interval of the difference by Student's t; ``None`` for one seed.
    p : float or None
        Of the two-sided paired t-test; ``None`` where there is no variance to test with.
    count : int
        Seeds that both have.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation.

    Arguments
    ---------
    values : sequence of float
        One per seed.

    Returns
    -------
    Spread or None
        ``None`` without values.

    Example
    -------
    >>> spread([1.0, 2.0, 3.0])
    Spread(mean=2.0, deviation=1.0, count=3)
    """
    if not values:
        return None
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, len(values))


def paired(values: Mapping[int, float], baseline: Mapping[int, float]) -> Paired | None:
    """The paired t-test over the seeds that two networks share.

    Arguments
    ---------
    values : Mapping
        Seed -> figure.
    baseline : Mapping
        Those of the network to compare with.

    Returns
    -------
    Paired or None
        ``None`` if there is no such seed, or a figure is not finite.

    Example
    -------
    >>> found = paired({1: 2.0, 2: 3.0, 3: 5.0}, {1: 1.0, 2: 2.0, 3: 3.0})
    >>> f"{found.difference:.3f} [{found.low:.3f}, {found.high:.3f}], p = {found.p:.3f}"
    '1.333 [-0.101, 2.768], p = 0.057'
    """
    seeds = sorted(set(values) & set(baseline))
    mine, theirs = [values[s] for s in seeds], [baseline[s] for s in seeds]
    if not seeds or not all(map(math.isfinite, mine + theirs)):
        return None
    differences = np.subtract(mine, theirs)
    mean = float(differences.mean())
    if len(seeds) == 1:
        return Paired(mean, None, None, None, 1)
    if np.ptp(differences) <= 1e-12 * max(1.0, np.abs(mine + theirs).max()):
        return Paired(mean, mean, mean, None, len(seeds))
    test = ttest_rel(mine, theirs)
    low, high = test.confidence_interval(LEVEL)
    return Paired(mean, float(low), float(high), float(test.pvalue), len(seeds))
