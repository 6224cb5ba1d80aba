"""Confidence intervals of error rates by resampling (Bisani and Ney, ICASSP 2004)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

#: What an interval covers.
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Where a rate may lie.

    Arguments
    ---------
    low, high : float
        Bounds, in per cent.
    units : int
        How many utterances, or speakers, were drawn from.
    """

    low: float
    high: float
    units: int


def blocks(values: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    """Adds up rows of the same name.

    Arguments
    ---------
    values : np.ndarray
        (utterances, figures).
    names : sequence of str or None
        Of each utterance, such as its speaker; None to leave utterances by themselves.

    Returns
    -------
    np.ndarray
        (names, figures).

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


def draw(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sums of figures over units that are drawn with replacement, as many as there are.

    Arguments
    ---------
    values : np.ndarray
        (units, figures).
    resamples : int
        How often.
    seed : int
        Of the draws: the same seed, the same sums, in whatever order the units are.

    Returns
    -------
    np.ndarray
        (resamples, figures).

    Example
    -------
    >>> draw(np.array([[1, 2], [1, 2]]), resamples=2, seed=0).tolist()
    [[2, 4], [2, 4]]
    """
    # How often each DIFFERENT row is drawn is multinomial, and most utterances are like others.
    rows, counts = np.unique(values, axis=0, return_counts=True)
    times = np.random.default_rng(seed).multinomial(len(values), counts / len(values), resamples)
    return times @ rows


def bounds(samples: np.ndarray, units: int) -> tuple[float, float]:
    """The percentile interval of resampled figures, widened for few units.

    Plain percentiles are too narrow, by the factor that parts a normal from a t distribution
    with the variance of a sample; that is put right (Hesterberg 2015, "What teachers should know
    about the bootstrap", expanded percentile interval).

    Arguments
    ---------
    samples : np.ndarray
        The figures.
    units : int
        How many units were drawn from.

    Returns
    -------
    (float, float)

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
    """95 % interval of an error rate.

    Over utterances it says how the rate would vary over other utterances of the same speakers;
    over speakers how it would vary over other speakers, which is what one usually wants to know.
    Speakers differ, so that the first is often much too narrow for the second. With fewer than
    some eight speakers that one is too narrow as well.

    Arguments
    ---------
    errors : sequence of int
        Of each utterance.
    tokens : sequence of int
        Words (or characters) of each reference.
    names : sequence of str or None
        Speaker of each utterance, to draw speakers; None to draw utterances.
    resamples : int
        How many times is drawn.
    seed : int
        Of the draws.

    Returns
    -------
    Interval or None
        None if there are not two units with words.

    Example
    -------
    >>> found = rate_interval([0, 1, 0, 2, 1] * 20, [5, 6, 4, 7, 3] * 20)
    >>> round(found.low), round(found.high), found.units
    (13, 19, 100)
    """
    values = blocks(np.column_stack([errors, tokens]), names)
    if len(values) < 2:
        return None
    sums = draw(values, resamples, seed)
    # Where many utterances have no words, none may have been drawn that has any.
    sums = sums[sums[:, 1] > 0]
    if not len(sums):
        return None
    return Interval(*bounds(100 * sums[:, 0] / sums[:, 1], len(values)), len(values))
