"""Confidence intervals of error rates by resampling (Bisani and Ney, ICASSP 2004)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

#: Coverage of an interval.
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Bounds of a rate, in per cent, and how many utterances (or speakers) were resampled."""

    low: float
    high: float
    units: int


def blocks(values: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    """Sums of the rows of the same name: (utterances, values) -> (names, values).

    ``names`` None leaves the rows as they are.

    Example
    -------
    >>> blocks(np.array([[1, 10], [2, 20], [3, 30]]), ["ann", "bob", "ann"]).tolist()
    [[4, 40], [2, 20]]
    """
    if names is None:
        return values
    _, index = np.unique(np.asarray(names), return_inverse=True)
    sums = np.zeros((index.max() + 1, values.shape[1]), dtype=values.dtype)
    np.add.at(sums, index, values)
    return sums


def resample(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums over units sampled with replacement: (units, values) -> (resamples, values).

    As many units are sampled as there are; the same seed gives the same sums in whatever order the
    units are.

    Example
    -------
    >>> resample(np.array([[1, 2], [1, 2]]), resamples=2, seed=0).tolist()
    [[2, 4], [2, 4]]
    """
    # The number of times each DIFFERENT row is sampled is multinomial, and most rows are equal to
    # others.
    rows, counts = np.unique(values, axis=0, return_counts=True)
    times = np.random.default_rng(seed).multinomial(len(values), counts / len(values), resamples)
    return times @ rows


def bounds(samples: np.ndarray, units: int) -> tuple[float, float]:
    """The percentile interval of resampled values, (resamples,), widened for few units.

    Percentiles alone are too narrow, by the ratio of a normal and a t distribution with the
    variance of a sample (Hesterberg 2015, "What teachers should know about the bootstrap",
    expanded percentile interval).

    Example
    -------
    >>> low, high = bounds(np.arange(1001.0), units=1000)
    >>> round(low), round(high)
    (25, 975)
    """
    tail = norm.cdf(math.sqrt(units / (units - 1)) * t.ppf((1 - LEVEL) / 2, units - 1))
    low, high = np.quantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def rate_interval(
    errors: Sequence[int],
    tokens: Sequence[int],
    names: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """95 % interval of an error rate, from errors and tokens of each utterance.

    Over utterances (``names`` None) it shows how the rate would vary over other utterances of the
    same speakers; over speakers how it would vary over other speakers, which is usually the
    question. Speakers differ, so that the first is often much too narrow for the second. With fewer
    than about eight speakers the second is too narrow as well. None without two units with words.

    Example
    -------
    >>> interval = rate_interval([0, 1, 0, 2, 1] * 20, [5, 6, 4, 7, 3] * 20)
    >>> round(interval.low), round(interval.high), interval.units
    (13, 19, 100)
    """
    values = blocks(np.column_stack([errors, tokens]), names)
    if len(values) < 2:
        return None
    sums = resample(values, resamples, seed)
    # Where many utterances have no words, a resample may have none.
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return None
    return Interval(*bounds(100 * sums[:, 0] / sums[:, 1], len(values)), len(values))
