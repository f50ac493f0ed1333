"""Small-sample intervals against scipy, and against their own meaning: how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.audit import intervals


def covered(n: int, of: str) -> float:
    """The share of 2,000 normal samples of n correlated pairs whose interval holds the truth, 0.2 or 1."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(2000):
        shared = rng.normal(0, 1, n)
        before, after = 5 + shared + rng.normal(0, 1, n), 6 + shared + rng.normal(0, 1, n)
        low, high = getattr(intervals, of)(before, after)
        truth = 0.2 if of == "relative_change" else 1.0
        hits += low <= truth <= high
    return hits / 2000


def test_the_mean_s_is_scipy_s() -> None:
    values = np.array([1.0, 2.5, 2.0, 7.0])
    assert intervals.mean(values) == pytest.approx(scipy_stats.ttest_1samp(values, 0).confidence_interval())
    assert all(map(math.isnan, intervals.mean(np.array([1.0]))))
    assert intervals.quantile(10) == pytest.approx(2.262157)  # any table of Student's t


@pytest.mark.parametrize("of", ["relative_change", "deviation_ratio"])
@pytest.mark.parametrize("n", [5, 10, 17])
def test_95_per_cent_are_95_per_cent(of: str, n: int) -> None:
    assert covered(n, of) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_the_ratio_of_deviations_rejects_where_pitman_and_morgan_do() -> None:
    """Their test is that of the correlation of sums and differences."""
    rng = np.random.default_rng(3)
    for wide in (1.0, 1.3, 1.6, 2.0):
        before = rng.normal(0, 1, 20)
        after = 0.5 * before + rng.normal(0, wide, 20)
        low, high = intervals.deviation_ratio(before, after)
        p = scipy_stats.pearsonr(after + before, after - before).pvalue
        assert (p < 0.05) == (not low <= 1 <= high)


def test_what_has_no_ends_has_no_interval() -> None:
    same, few = np.ones(5), np.array([1.0, 2.0])
    assert all(map(math.isnan, intervals.deviation_ratio(same, same)))
    assert all(map(math.isnan, intervals.deviation_ratio(few, few)))
    assert all(map(math.isnan, intervals.relative_change(np.array([-1.0, 1.1]), np.array([1.0, 2.0]))))
