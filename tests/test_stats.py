"""The statistics against scipy, closed forms and naive loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import stats


def ragged(seed: int = 0, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of one to four rows, with a cluster effect, in shuffled order."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(n), rng.integers(1, 5, n))
    values = np.clip(0.2 + 0.2 * rng.normal(size=n)[clusters] + 0.1 * rng.normal(size=len(clusters)), 0, 1)
    order = rng.permutation(len(clusters))
    return clusters[order], values[order]


def single(values: np.ndarray) -> stats.Rows:
    return stats.rows(np.arange(len(values)), values)


def test_cluster_means_are_the_means_of_each_dialogue() -> None:
    clusters, values = ragged()
    expected = [values[clusters == k].mean() for k in range(40)]
    np.testing.assert_allclose(stats.cluster_means(stats.rows(clusters, values)), expected, rtol=1e-14)


def test_standard_error_is_scipys_sem_of_the_means() -> None:
    means = np.random.default_rng(1).random(30)
    assert stats.standard_error(means) == pytest.approx(scipy.stats.sem(means), rel=1e-14)
    assert math.isnan(stats.standard_error(means[:1]))


@pytest.mark.parametrize("name", stats.STATISTICS)
@pytest.mark.parametrize("times", [2, 3])
def test_writing_every_row_twice_changes_nothing_at_all(name: str, times: int) -> None:
    clusters, values = ragged()
    once, again = stats.rows(clusters, values), stats.rows(np.tile(clusters, times), np.tile(values, times))
    assert stats.statistic(once, name) == stats.statistic(again, name)
    for supports in ([None], [(0.0, 1.0)], [(0.0, math.inf)]):
        bounds = [stats.mean_intervals(stats.cluster_means(c)[:, None], supports, count=700) for c in (once, again)]
        assert bounds[0] == bounds[1]


def test_one_row_a_dialogue_gives_numpys_statistics() -> None:
    values = np.random.default_rng(2).random(57)
    column = single(values)
    assert stats.statistic(column, "mean") == pytest.approx(values.mean(), rel=1e-14)
    assert stats.statistic(column, "std") == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert stats.statistic(column, "p95") == np.quantile(values, 0.95, method="inverted_cdf")
    assert stats.statistic(column, "max") == values.max()
    assert stats.statistic(column, "rate_50") == pytest.approx((values > 0.5).mean(), rel=1e-14)
    assert stats.statistic(column, "rate_10") == pytest.approx((values > 0.1).mean(), rel=1e-14)


def naive(clusters: np.ndarray, values: np.ndarray, drawn: np.ndarray, name: str) -> float:
    """A statistic of a resample by loops: every drawn dialogue weighs 1, its rows share that."""
    pairs = [(value, 1 / np.sum(clusters == k)) for k in drawn for value in values[clusters == k]]
    x, w = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    n, mean = len(drawn), np.sum(w * x) / len(drawn)
    if name == "std":
        return float(np.sqrt(np.sum(w * (x - mean) ** 2) / n * n / (n - 1)))
    if name == "p95":
        return float(min(v for v in x if np.sum(w[x > v]) <= 0.05 * n + 1e-9))
    if name == "max":
        return float(x.max())
    return float(mean if name == "mean" else np.sum(w * (x > stats.RATES[name])) / n)


@pytest.mark.parametrize("name", stats.STATISTICS)
def test_statistics_equal_naive_loops(name: str) -> None:
    clusters, values = ragged(3, n=25)
    expected = naive(clusters, values, np.arange(25), name)
    assert stats.statistic(stats.rows(clusters, values), name) == pytest.approx(expected, rel=1e-11)


def test_sign_flip_agrees_with_scipys_permutation_test() -> None:
    gaps = np.random.default_rng(10).normal(0.25, 1, 50)
    theirs = scipy.stats.permutation_test(
        (gaps,), np.mean, permutation_type="samples", n_resamples=20_000, vectorized=True, rng=np.random.default_rng(2)
    )
    assert stats.sign_flip(gaps, 20_000)[0] == pytest.approx(theirs.pvalue, abs=0.012)


def test_sign_flip_of_few_differences_approaches_the_exact_p() -> None:
    gaps = np.array([0.3, 0.1, 0.4, 0.2, -0.1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    exact = np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-12)
    assert stats.sign_flip(gaps, 40_000)[0] == pytest.approx(exact, abs=0.01)


def test_sign_flip_of_no_difference_is_1_and_of_a_sure_one_is_the_smallest_possible() -> None:
    gaps = np.stack([np.zeros(60), np.full(60, 0.1)], axis=1)
    np.testing.assert_allclose(stats.sign_flip(gaps, 999), [1.0, 1 / 1000])


def test_sign_flip_under_the_null_is_uniform() -> None:
    gaps = np.random.default_rng(11).normal(size=(60, 300))
    p = stats.sign_flip(gaps, 999)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(p <= 0.05) < 0.09


def test_the_thesis_table_4_2_is_inconclusive() -> None:
    before = [
        2.351077,
        1.883278,
        1.587816,
        1.611620,
        0.772964,
        2.434810,
        1.360727,
        2.301333,
        1.165916,
        3.151282,
        1.537484,
        1.284117,
        1.457126,
        2.251136,
        2.855694,
        2.217947,
        1.776725,
    ]
    after = [
        2.948620,
        2.461895,
        1.953090,
        1.907171,
        1.032556,
        2.642623,
        1.429471,
        2.369421,
        1.167107,
        3.142738,
        1.517594,
        1.249279,
        1.392192,
        2.094307,
        2.664426,
        2.009304,
        1.562407,
    ]
    gaps = np.subtract(after, before)
    low, high = stats.mean_intervals(gaps[:, None], [None])
    assert (gaps.mean(), low[0], high[0]) == pytest.approx((0.0908, -0.0409, 0.2224), abs=1e-4)
    assert stats.sign_flip(np.subtract(after, before))[0] == pytest.approx(0.166, abs=0.015)


def test_holm_on_a_worked_example() -> None:
    np.testing.assert_allclose(stats.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(stats.holm([0.9, 0.8]), [1.0, 1.0])
    assert stats.holm([]).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_never_beats_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = stats.holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_smallest_detectable_difference_is_found_in_80_per_cent_of_simulations() -> None:
    rng = np.random.default_rng(12)
    effect = (1.96 + 0.84) * 1 / math.sqrt(200)
    assert stats.smallest_detectable(rng.normal(size=200)) == pytest.approx(effect, rel=0.15)
    found = [abs(x.mean()) > 1.96 * stats.standard_error(x) for x in rng.normal(effect, 1, (2_000, 200))]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_improvement_is_equation_3_8_and_survives_zero() -> None:
    np.testing.assert_allclose(stats.improvement([0.2, 0.2, 0.0], [0.1, 0.3, 0.1]), [0.5, -0.5, math.nan])


def test_restrict_keeps_the_rows_of_the_clusters_asked_for() -> None:
    clusters, values = ragged()
    kept = np.array([3, 7, 20])
    column = stats.restrict(stats.rows(clusters, values), kept)
    np.testing.assert_allclose(stats.cluster_means(column), [values[clusters == k].mean() for k in kept])
    assert (column.members == kept).all()


def test_rows_refuse_nan_and_unequal_lengths() -> None:
    for clusters, values in (([0, 1], [0.1]), ([0], [math.nan]), ([], [])):
        with pytest.raises(ValueError, match="must be"):
            stats.rows(clusters, values)


def naive_crossed(values: np.ndarray) -> tuple[float, float]:
    """Mean squares of training and of the rest, by loops as a textbook writes the sums."""
    n, s = values.shape
    grand = sum(values[d][k] for d in range(n) for k in range(s)) / (n * s)
    dialogue = [sum(values[d][k] for k in range(s)) / s for d in range(n)]
    training = [sum(values[d][k] for d in range(n)) / n for k in range(s)]
    between = n * sum((mean - grand) ** 2 for mean in training) / (s - 1)
    rest = sum((values[d][k] - dialogue[d] - training[k] + grand) ** 2 for d in range(n) for k in range(s))
    return between, rest / ((n - 1) * (s - 1))


def test_crossed_parts_are_those_of_the_two_way_table() -> None:
    rng = np.random.default_rng(20)
    values = rng.normal(size=(12, 1)) + 2 * rng.normal(size=(1, 4)) + rng.normal(size=(12, 4))
    between, rest = naive_crossed(values)
    found = stats.crossed(values)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    assert found.se_dialogues == pytest.approx(scipy.stats.sem(values.mean(axis=1)), rel=1e-12)
    assert found.sd_seeds == pytest.approx(np.std([values[:, k].mean() for k in range(4)], ddof=1), rel=1e-12)
    assert found.sd_training == pytest.approx(math.sqrt((between - rest) / 12), rel=1e-12)


def test_two_trainings_are_a_paired_t_test() -> None:
    """With S = 2 the ratio of the mean squares is the square of the paired t."""
    rng = np.random.default_rng(21)
    values = rng.normal(size=(30, 1)) + np.array([0.0, 1.0]) + rng.normal(size=(30, 2))
    t = scipy.stats.ttest_rel(values[:, 0], values[:, 1]).statistic
    rest = np.var(values[:, 0] - values[:, 1], ddof=1) / 2
    assert stats.crossed(values).sd_training == pytest.approx(math.sqrt(rest * (t**2 - 1) / 30), rel=1e-9)


@pytest.mark.parametrize("sd_training", [0.0, 0.5, 2.0])
def test_crossed_recovers_known_components(sd_training: float) -> None:
    """2,000 simulated studies of 60 dialogues by 3 trainings: both parts, and their sum as the variance of the mean."""
    rng, n, s = np.random.default_rng(22), 60, 3
    found, means = [], []
    for _ in range(2000):
        values = rng.normal(0, 4, (n, 1)) + rng.normal(0, sd_training, s) + rng.normal(0, 2, (n, s))
        found.append(stats.crossed(values))
        means.append(values.mean())
    dialogues = np.mean([each.se_dialogues**2 for each in found])
    assert dialogues == pytest.approx(4**2 / n + 2**2 / (n * s), rel=0.02)
    seeds = np.mean([each.sd_seeds**2 for each in found])
    assert seeds == pytest.approx(sd_training**2 + 2**2 / n, rel=0.1)
    training = np.mean([each.sd_training**2 for each in found])
    assert training == pytest.approx(sd_training**2, rel=0.1, abs=0.05)  # cut at 0: a little above where there is none
    assert dialogues + training / s == pytest.approx(np.var(means), rel=0.1)


@pytest.mark.parametrize(("sd_training", "s"), [(0.0, 3), (0.5, 3), (3.0, 3), (1.0, 5)])
def test_the_interval_of_both_parts_covers_what_that_of_the_dialogues_misses(sd_training: float, s: int) -> None:
    rng, n, reached = np.random.default_rng(23), 60, []
    for _ in range(2000):
        values = rng.normal(0, 4, (n, 1)) + rng.normal(0, sd_training, s) + rng.normal(0, 2, (n, s))
        parts = stats.crossed(values)
        own = scipy.stats.t.ppf(0.975, n - 1) * parts.se_dialogues
        half_width = stats.seed_half_width(parts.sd_training, s, s - 1, 0.975)
        both = stats.widen(stats.Estimate(parts.value, parts.value - own, parts.value + own), half_width)
        reached.append((abs(parts.value) < own, both.low < 0 < both.high))
    alone, together = np.mean(reached, axis=0)
    assert 0.94 <= together <= 0.98
    if sd_training == 3:
        assert alone < 0.6


def test_the_reach_of_training_is_students_interval() -> None:
    low, high = scipy.stats.t.interval(0.9, 2, 0, 0.3 / math.sqrt(3))
    assert (-stats.seed_half_width(0.3, 3, 2, 0.95), stats.seed_half_width(0.3, 3, 2, 0.95)) == pytest.approx(
        (low, high)
    )
    assert stats.widen(stats.Estimate(1.0, 0.0, 1.5), 0.0) == (1.0, 0.0, 1.5)
    assert stats.widen(stats.Estimate(0.0, -3.0, 5.0), 4.0) == pytest.approx((0.0, -5.0, math.sqrt(41)))


@pytest.mark.parametrize("shape", [(1, 3), (5, 1)])
def test_one_dialogue_or_one_training_has_no_parts(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two dialogues and two trainings"):
        stats.crossed(np.zeros(shape))


@pytest.mark.parametrize("sd", [0.0, 1.0, 4.0])
def test_the_spread_between_runs_is_what_their_errors_do_not_explain(sd: float) -> None:
    rng, found = np.random.default_rng(24), []
    errors = np.array([0.5, 1.0, 1.5])
    for _ in range(3000):
        found.append(stats.between_runs(10 + rng.normal(0, sd, 3) + rng.normal(0, errors), errors) ** 2)
    # Cut at 0, the estimate of nothing lies above it, by less than the errors' own mean square.
    assert np.mean(found) == pytest.approx(sd**2, rel=0.1, abs=0.5 * float((errors**2).mean()))
    assert stats.between_runs([1.0, 2.0, 6.0], [0, 0, 0]) == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert stats.between_runs([1.0, 1.0, 1.0], errors) == 0


@pytest.mark.parametrize(("ones", "n"), [(0, 12), (1, 12), (3, 25), (30, 60), (500, 500)])
def test_a_mean_of_zeros_and_ones_has_the_interval_of_clopper_and_pearson(ones: int, n: int) -> None:
    values = np.r_[np.ones(ones), np.zeros(n - ones)][:, None]
    low, high = stats.mean_intervals(values, [(0.0, 1.0)], count=100_000)
    exact = scipy.stats.binomtest(ones, n).proportion_ci(method="exact")
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), abs=3e-3)


def test_a_bounded_mean_follows_its_support_and_its_scale() -> None:
    values = np.random.default_rng(0).beta(0.3, 3, (40, 1))
    low, high = stats.mean_intervals(values, [(0.0, 1.0)])
    scaled = stats.mean_intervals(5 * values - 2, [(-2.0, 3.0)])
    assert (scaled[0][0], scaled[1][0]) == pytest.approx((5 * low[0] - 2, 5 * high[0] - 2), rel=1e-9)
    wider = stats.mean_intervals(values, [(0.0, 2.0)])
    assert wider[0][0] == low[0] and wider[1][0] > high[0]


@pytest.mark.parametrize("support", [None, (-math.inf, math.inf)])
def test_an_unbounded_mean_has_student_s_interval(support: stats.Support | None) -> None:
    values = np.random.default_rng(1).exponential(1, 25)
    low, high = stats.mean_intervals(values[:, None], [support])
    expected = scipy.stats.t.interval(0.95, 24, values.mean(), scipy.stats.sem(values))
    assert (low[0], high[0]) == pytest.approx(expected, rel=1e-12)


def test_skewness_changes_nothing_where_there_is_none() -> None:
    half = np.random.default_rng(1).random(25)
    values = np.r_[half, -half][:, None] + 3.0
    skewed = stats.mean_intervals(values, [(0.0, math.inf)])
    assert np.r_[skewed] == pytest.approx(np.r_[stats.mean_intervals(values, [None])], rel=1e-9)


def test_what_cannot_be_bounded_has_no_interval() -> None:
    low, high = stats.mean_intervals(np.ones((5, 1)), [(math.nan, math.nan)])
    assert np.isnan([low[0], high[0]]).all()


def test_skewness_is_taken_off_by_hall_s_transformation() -> None:
    values = np.random.default_rng(2).exponential(1, 20)
    n, mean, sd = len(values), values.mean(), values.std(ddof=1)
    skewness = ((values - mean) ** 3).mean() / sd**3

    def transformed(mu: float) -> float:
        t = (mean - mu) / sd
        return float(np.sqrt(n) * (t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / (6 * n)))

    low, high = stats.mean_intervals(values[:, None], [(0.0, math.inf)])
    y = scipy.stats.t.ppf(0.975, n - 1)
    assert transformed(float(low[0])) == pytest.approx(y, rel=1e-9)
    assert transformed(float(high[0])) == pytest.approx(-y, rel=1e-9)


def test_one_value_or_a_constant_is_bounded_by_its_support_alone() -> None:
    low, high = stats.mean_intervals(np.array([[0.2, 0.2]]), [None, (0.0, 1.0)])
    assert np.isnan([low[0], high[0]]).all()
    assert 0 <= low[1] < 0.2 < high[1] <= 1
    same, _ = stats.mean_intervals(np.full((9, 1), 0.2), [None])
    assert same[0] == pytest.approx(0.2)


RARE = np.r_[np.full(285, 0.03), np.full(15, 0.9)]  # what a detoxified model writes


@pytest.mark.parametrize("n", [12, 60, 300])
def test_intervals_cover_means_whose_rare_large_values_were_not_drawn(n: int) -> None:
    rng = np.random.default_rng(n)
    drawn = rng.choice(RARE, (n, 500))
    low, high = stats.mean_intervals(drawn, [(0.0, 1.0)] * 500, count=2_000)
    assert ((low <= RARE.mean()) & (RARE.mean() <= high)).mean() >= 0.93
    if n == 12:  # where resampling what was drawn is wrong almost always
        resampled = np.stack([drawn[rng.integers(0, n, n)].mean(axis=0) for _ in range(500)])
        ends = np.quantile(resampled, [0.025, 0.975], axis=0)
        assert ((ends[0] <= RARE.mean()) & (RARE.mean() <= ends[1])).mean() < 0.6


def test_the_bounds_of_an_improvement_are_where_the_difference_is_just_not_told_from_0() -> None:
    rng = np.random.default_rng(3)
    before = rng.choice([0.03, 0.9], 80, p=[0.7, 0.3])
    after = np.where(rng.random(80) < 0.6, 0.03, before)
    value, low, high = stats.improvement_interval(before, after)
    assert value == pytest.approx((before.mean() - after.mean()) / before.mean(), rel=1e-12)
    for ratio, side in ((1 - low, 1), (1 - high, 0)):
        ends = stats.mean_intervals((after - ratio * before)[:, None], [(-ratio, 1.0)])
        assert ends[side][0] == pytest.approx(0, abs=1e-3)
    assert np.isnan(stats.improvement_interval(np.zeros(5), after[:5])).all()


@pytest.mark.parametrize("n", [12, 59, 72, 80, 300])
def test_p95_is_bounded_by_order_statistics(n: int) -> None:
    values = np.random.default_rng(n).permutation(np.arange(n)).astype(float)
    low, high = stats.quantile_interval(single(values), "p95")
    ranks = int(scipy.stats.binom.ppf(0.025, n, 0.95)), int(scipy.stats.binom.ppf(0.975, n, 0.95)) + 1
    assert low == ranks[0] - 1
    assert high == ranks[1] - 1 if ranks[1] <= n else math.isnan(high)
    twice = stats.rows(np.tile(np.arange(n), 2), np.tile(values, 2))
    np.testing.assert_equal(stats.quantile_interval(twice, "p95"), (low, high))


@pytest.mark.parametrize("nonzero", [0, 1, 3, 8])
def test_the_least_p_is_that_of_differences_which_all_agree(nonzero: int) -> None:
    gaps = np.r_[np.arange(1.0, nonzero + 1), np.zeros(4)]
    signs = np.array(list(itertools.product([-1, 1], repeat=len(gaps))))
    exact = (np.abs(signs @ gaps) >= gaps.sum()).mean()
    assert stats.smallest_p(gaps) == pytest.approx(exact)
    assert stats.smallest_p(np.ones(30), count=99) == pytest.approx(0.01)
