"""Means, spreads and the paired test, against SciPy's parts put together by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from gatedrnn.experiments.compare.report import paired, spread


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_the_paired_test_is_students_of_the_differences(count):
    draw = np.random.default_rng(count)
    mine = dict(enumerate(draw.normal(100, 2, count)))
    theirs = dict(enumerate(draw.normal(101, 2, count)))
    found = paired(mine, theirs)
    differences = np.array([mine[s] - theirs[s] for s in range(count)])
    error = differences.std(ddof=1) / math.sqrt(count)
    statistic = differences.mean() / error
    assert found.count == count
    assert found.difference == pytest.approx(differences.mean())
    assert found.p == pytest.approx(2 * stats.t.sf(abs(statistic), count - 1))
    margin = stats.t.ppf(0.975, count - 1) * error
    assert found.low == pytest.approx(differences.mean() - margin)
    assert found.high == pytest.approx(differences.mean() + margin)


def test_only_shared_seeds_are_compared():
    found = paired({1: 1.0, 2: 3.0, 5: 9.0}, {2: 1.0, 1: 0.5, 4: 9.0})
    assert (found.difference, found.count) == (1.25, 2)
    assert paired({1: 1.0}, {2: 1.0}) is None


def test_where_nothing_can_be_tested():
    one = paired({1: 2.0}, {1: 1.5})
    assert (one.difference, one.low, one.p, one.count) == (0.5, None, None, 1)
    same = paired({1: 2.0, 2: 3.0}, {1: 1.0, 2: 2.0})
    assert (same.difference, same.low, same.high, same.p) == (1.0, 1.0, 1.0, None)
    assert paired({1: math.inf, 2: 1.0}, {1: 1.0, 2: 1.0}) is None
    assert spread([]) is None
    assert spread([3.0]).deviation is None
