"""Rank correlations against scipy, shares of pairs against loops."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench import correlations


@pytest.fixture
def tables() -> tuple[np.ndarray, np.ndarray]:
    """Values and ratings of 30 dialogues x 9 systems, with ties, and one dialogue in which every rating is the same."""
    rng = np.random.default_rng(1)
    values, ratings = rng.integers(0, 6, (30, 9)).astype(float), rng.integers(3, 16, (30, 9)) / 3
    ratings += values * 0.1
    ratings[4] = 2.0
    return values, ratings


def test_coefficients_are_scipy_s(tables: tuple[np.ndarray, np.ndarray]) -> None:
    values, ratings = tables
    for ours, theirs in (
        (correlations.spearman, scipy_stats.spearmanr),
        (correlations.kendall, scipy_stats.kendalltau),
    ):
        found = ours(values, ratings)
        assert np.isnan(found[4])  # nothing to rank by
        for k in set(range(30)) - {4}:
            assert found[k] == pytest.approx(theirs(values[k], ratings[k]).statistic)


def test_agreement_by_system_and_by_summary(tables: tuple[np.ndarray, np.ndarray]) -> None:
    values, ratings = tables
    found = correlations.agreement([(values, ratings)])
    for name, theirs in (("spearman", scipy_stats.spearmanr), ("kendall", scipy_stats.kendalltau)):
        system, summary = getattr(found, f"system_{name}"), getattr(found, f"summary_{name}")
        assert system.value == pytest.approx(theirs(values.mean(axis=0), ratings.mean(axis=0)).statistic)
        within = [theirs(values[k], ratings[k]).statistic for k in range(30) if k != 4]
        assert summary.value == pytest.approx(np.mean(within))
        reach = 1.96 * np.std(within, ddof=1) / math.sqrt(29)
        assert (summary.low, summary.high) == pytest.approx(
            (np.mean(within) - reach, np.mean(within) + reach), abs=0.03
        )
        assert system.low < system.value < system.high


def test_clear_pairs_are_those_of_a_loop(tables: tuple[np.ndarray, np.ndarray]) -> None:
    values, ratings = tables
    hits = []
    for row, rated in zip(values, np.round(ratings, 9), strict=True):
        for i, j in combinations(range(9), 2):
            if abs(rated[i] - rated[j]) >= 1 - 1e-6:
                hits.append(0.5 if row[i] == row[j] else float((row[i] > row[j]) == (rated[i] > rated[j])))
    found = correlations.agreement([(values, ratings)])
    assert found.pairs == len(hits)
    assert found.clear_pairs.value == pytest.approx(np.mean(hits))


def test_several_raters_are_averaged(tables: tuple[np.ndarray, np.ndarray]) -> None:
    values, ratings = tables
    one, other = (correlations.agreement([pair]) for pair in ((values, ratings), (ratings, values)))
    both = correlations.agreement([(values, ratings), (ratings, values)])
    assert both.system_kendall.value == pytest.approx((one.system_kendall.value + other.system_kendall.value) / 2)
    assert both.summary_spearman.value == pytest.approx(one.summary_spearman.value)  # it is symmetric


def test_few_systems_or_dialogues_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    found = correlations.agreement([(rng.random((20, 4)), rng.random((20, 4)))])
    assert math.isfinite(found.system_spearman.value) and math.isnan(found.system_spearman.low)
    assert math.isfinite(found.summary_spearman.low)
    few = correlations.agreement([(rng.random((5, 9)), rng.random((5, 9)))])
    assert math.isnan(few.summary_spearman.low)


def test_preferences_count_ties_half_and_cluster_by_dialogue() -> None:
    first, second = np.array([1.0, 1.0, 2.0, 0.0]), np.array([2.0, 1.0, 1.0, 3.0])
    found = correlations.preferred(first, second, ["a", "a", "b", "b"])
    assert found.value == pytest.approx(2.5 / 4)
    rng = np.random.default_rng(2)
    names = [str(k) for k in range(40) for _ in range(3)]
    wins = np.repeat(rng.integers(0, 2, 40), 3).astype(float)  # all pairs of a dialogue alike: 40 outcomes, not 120
    ours = correlations.preferred(np.zeros(120), 2 * wins - 1, names)
    reach = 1.96 * np.std(wins[::3], ddof=1) / math.sqrt(40)
    assert (ours.low, ours.high) == pytest.approx((wins.mean() - reach, wins.mean() + reach), abs=0.02)


def test_the_slope_is_that_of_a_regression_with_a_level_for_each_dialogue(
    tables: tuple[np.ndarray, np.ndarray],
) -> None:
    values, ratings = tables
    levels = np.repeat(np.eye(30), 9, axis=0)
    fitted = np.linalg.lstsq(np.column_stack([values.ravel(), levels]), ratings.ravel(), rcond=None)[0]
    assert correlations.agreement([(values, ratings)]).slope.value == pytest.approx(fitted[0])
