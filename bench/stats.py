"""Intervals and tests, clustered by dialogue. Pure numpy; imports nothing of ours.

Rows of one dialogue (several references, several samples) are not independent, so every statistic gives each dialogue
the weight 1, shared equally by its rows, and intervals and tests are over dialogues. Writing a row twice changes nothing.

Shapes: N rows, n clusters (dialogues), R draws or flips, K columns.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Support = tuple[float, float]  # the numbers between which values can lie; infinite where nothing bounds them
UNBOUNDED: Support = (-math.inf, math.inf)

RATES = {"rate_50": 0.5, "rate_10": 0.1}
TOPS = {"p95": 0.05, "max": 0.0}
STATISTICS = ("mean", "std", *TOPS, *RATES)
CHUNK = 500  # draws at a time: 500 x 1,500 dialogues in float64 are 6 MB


@dataclass(frozen=True, eq=False)
class Rows:
    """One column: `values`, `codes` and `weights` (N,), `members` (n,) the caller's numbers of the clusters, sorted.

    `codes` are places in `members`; the weights of a cluster's rows sum to 1.
    """

    codes: Ints
    values: Floats
    weights: Floats
    members: Ints

    @property
    def n(self) -> int:
        """How many clusters there are."""
        return len(self.members)


class Estimate(NamedTuple):
    """A value with its interval; nan where it does not exist."""

    value: float
    low: float
    high: float


class Crossed(NamedTuple):
    """A mean over n dialogues and S trainings, and what it varies by; see `crossed`."""

    value: float
    se_dialogues: float
    sd_seeds: float
    sd_training: float


def rows(clusters: ArrayLike, values: ArrayLike) -> Rows:
    """Build rows from the cluster number (N,) and the value (N,) of each; equal rows of a cluster become one, weighted.

    Weights are quotients of counts: a file with every row written twice gives the very same numbers.
    """
    cluster, value = np.asarray(clusters, np.int64), np.asarray(values, np.float64)
    if cluster.shape != value.shape or cluster.ndim != 1 or not cluster.size or not np.isfinite(value).all():
        raise ValueError("clusters and values must be equally long, not empty and finite")
    order = np.lexsort((value, cluster))
    cluster, value = cluster[order], value[order]
    first = np.flatnonzero(np.r_[True, (cluster[1:] != cluster[:-1]) | (value[1:] != value[:-1])])
    times = np.diff(np.r_[first, len(value)])
    members, codes = np.unique(cluster[first], return_inverse=True)
    totals = np.bincount(codes, times)
    return Rows(codes, value[first], times / totals[codes], members)


def restrict(column: Rows, members: Ints) -> Rows:
    """Keep the rows of the clusters in `members` (m,), which must be sorted and all be in the column."""
    wanted = np.isin(column.members[column.codes], members)
    codes = np.searchsorted(members, column.members[column.codes[wanted]])
    return Rows(codes, column.values[wanted], column.weights[wanted], members)


def cluster_means(column: Rows, values: ArrayLike | None = None) -> Floats:
    """Average each cluster's rows: (n,); `values` (N,) in place of the column's own."""
    used = column.values if values is None else np.asarray(values, np.float64)
    return np.bincount(column.codes, column.weights * used, minlength=column.n).astype(np.float64)


def standard_error(means: Floats) -> float:
    """Compute the clustered standard error of a mean from the cluster means (n,): sd / sqrt(n). Miller 2024, arXiv 2411.00640."""
    return float(np.std(means, ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.nan


def statistic(column: Rows, name: str) -> float:
    """Compute one of STATISTICS of the column as it is.

    std is the weighted standard deviation over rows with the factor n / (n - 1), n counting clusters: with one row a
    cluster it is numpy's with ddof=1. p95 is the smallest value that 95 % of the weight does not exceed.
    """
    if name in TOPS:
        order = np.argsort(column.values, kind="stable")
        reached = np.cumsum(column.weights[order])
        place = int(
            np.searchsorted(reached, (1 - TOPS[name]) * column.n - 1e-9)
        )  # a row weighs far more than this slack
        return float(column.values[order[min(place, len(order) - 1)]])
    if name in RATES:
        return float(cluster_means(column, column.values > RATES[name]).mean())
    mean = float(cluster_means(column).mean())
    if name == "mean":
        return mean
    if column.n < 2:
        return math.nan
    shifted = column.values - mean  # around the mean: without it, small spreads drown in rounding
    first, second = (float(cluster_means(column, shifted**power).mean()) for power in (1, 2))
    return math.sqrt(max(second - first**2, 0.0) * column.n / (column.n - 1))


def of_differences(support: Support | None) -> Support | None:
    """Return between which numbers the difference of two values of that support lies."""
    return None if support is None else (support[0] - support[1], support[1] - support[0])


def mean_intervals(
    means: Floats,
    supports: Sequence[Support | None],
    confidence: float = 0.95,
    count: int = 10_000,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Bound the K means of cluster means (n, K) from below and above, (K,) each; nan where nothing can be said.

    `supports` says between which two numbers a column's values can lie, one or both of them infinite; None where that is
    not known. Two finite ends say how far the clusters that were not drawn could move the mean: `_bounded_intervals`.
    With one, values are skewed: Student's t is corrected for it. With none it is Student's t.
    """
    values = np.asarray(means, np.float64)
    ends = np.array([support or UNBOUNDED for support in supports], np.float64).reshape(-1, 2)
    finite = np.isfinite(ends).sum(axis=1)
    low, high = _t_intervals(values, finite == 1, confidence)
    known = (finite == 2) | np.isnan(ends).any(axis=1)  # what is nan there is so here
    if known.any():
        lows, highs = ends[known].T
        low[known], high[known] = _bounded_intervals(values[:, known], lows, highs, confidence, count, seed)
    return low, high


def _t_intervals(values: Floats, skewed: NDArray[np.bool_], confidence: float) -> tuple[Floats, Floats]:
    """Student's t; of skewed columns after Hall's monotone cubic transformation.

    Hall 1992, J. R. Statist. Soc. B 54, 221, section 2.
    """
    from scipy.special import stdtrit  # late: what has no intervals is spared the import

    n = len(values)
    if n < 2:
        return np.full(values.shape[1], math.nan), np.full(values.shape[1], math.nan)
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    skewness = skewed * ((values - mean) ** 3).mean(axis=0) / np.where(sd > 0, sd, 1.0) ** 3
    slope = skewness / (3 * math.sqrt(n))

    def studentised(y: float) -> Floats:
        moved = y - skewness / (6 * math.sqrt(n))
        curved = (np.cbrt(1 + 3 * slope * moved) - 1) / np.where(np.abs(slope) > 1e-9, slope, 1.0)
        return np.where(np.abs(slope) > 1e-9, curved, y)

    y = float(stdtrit(n - 1, (1 + confidence) / 2))
    return tuple(mean - studentised(end) * sd / math.sqrt(n) for end in (y, -y))  # type: ignore[return-value]


def _bounded_intervals(
    values: Floats, low: Floats, high: Floats, confidence: float, count: int, seed: int
) -> tuple[Floats, Floats]:
    """Gaffke's bounds of the means of values in [low, high], (n, K), (K,), (K,): nothing else is assumed of them.

    The n values and one more at the support's end are weighted by flat Dirichlet draws; the bound is a quantile of the
    weighted means. Of zeros and ones it is the interval of Clopper and Pearson. Gaffke 2005; Learned-Miller & Thomas
    2019, arXiv 1905.06208, definition 2. It costs little width, and covers where a bootstrap of skewed values does not:
    the rare large value that was not drawn is in it.
    """
    lower, upper = [], []
    for weights in _dirichlet(len(values) + 1, count, seed):
        drawn, further = weights[:, :-1] @ values, weights[:, -1:]
        lower.append(drawn + further * low)
        upper.append(drawn + further * high)
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    return tuple(np.quantile(np.concatenate(part), end, axis=0) for part, end in zip((lower, upper), ends, strict=True))  # type: ignore[return-value]


def _dirichlet(size: int, count: int, seed: int) -> Iterator[Floats]:
    """Flat Dirichlet weights in chunks (at most CHUNK, size)."""
    rng = np.random.default_rng([seed, 2])
    for start in range(0, count, CHUNK):
        weights = rng.standard_exponential((min(CHUNK, count - start), size))
        yield weights / weights.sum(axis=1, keepdims=True)


def improvement_interval(
    before: Floats, after: Floats, confidence: float = 0.95, count: int = 10_000, seed: int = 0
) -> Estimate:
    """Compute equation 3.8 of paired cluster means (n,), (n,) in [0, 1]: the fall of the mean over the mean before.

    The bounds are those ratios at which the mean of after - ratio * before is just not told from 0 by the bounds of
    `mean_intervals` (Fieller's way). nan where all of `before` is 0.
    """
    value = float(improvement(before.mean(), after.mean())[0])
    if not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    lower, upper = [], []
    for weights in _dirichlet(len(before) + 1, count, seed):
        old, new, further = weights[:, :-1] @ before, weights[:, :-1] @ after, weights[:, -1]
        with np.errstate(divide="ignore"):
            lower.append(new / (old + further))
            upper.append((new + further) / old)
    low, high = (
        float(np.quantile(np.concatenate(part), end))
        for part, end in ((lower, (1 - confidence) / 2), (upper, (1 + confidence) / 2))
    )
    return Estimate(value, 1 - high, 1 - low)


def quantile_interval(column: Rows, name: str, confidence: float = 0.95) -> tuple[float, float]:
    """Bound one of TOPS by order statistics, whatever the distribution; nan on a side that so few clusters cannot bound.

    David & Nagaraja 2003, Order Statistics, section 7.1, with the number of clusters as that of the values: rows that
    share a cluster vary less than independent ones.
    """
    from scipy.special import bdtr

    level, n = 1 - TOPS[name], column.n
    below = bdtr(np.arange(n + 1), n, level)  # P(at most k of n lie below the quantile)
    ranks = [int(np.searchsorted(below, (1 - confidence) / 2)), int(np.searchsorted(below, (1 + confidence) / 2)) + 1]
    order = np.argsort(column.values, kind="stable")
    reached = np.cumsum(column.weights[order])
    found = [math.nan, math.nan]
    for side, rank in enumerate(ranks):
        if 1 <= rank <= n:
            place = int(np.searchsorted(reached, rank - 1e-9))
            found[side] = float(column.values[order[min(place, len(order) - 1)]])
    return found[0], found[1]


def crossed(values: Floats) -> Crossed:
    """Split the variance of a mean over dialogues and trainings, values (n, S), n and S at least 2, into its parts.

    Every training met every dialogue, so y = mean + dialogue + training + rest, all random: the two-way crossed model
    (Searle, Casella & McCulloch 1992, Variance Components, chapter 4). `se_dialogues` is the clustered standard error
    of the means over trainings; it holds the rest, the dialogues' own reactions to a training. `sd_seeds` is the plain
    standard deviation of the S means, which holds the rest too. `sd_training` is without it, the root of
    (MS training - MS rest) / n, or 0 where that is negative. So the variance of the mean is
    se_dialogues^2 + sd_training^2 / S. (To resample S seeds would lose a factor (S - 1) / S: a third at three.)
    """
    n, trainings = values.shape
    if n < 2 or trainings < 2:
        raise ValueError("two dialogues and two trainings are needed to tell their parts apart")
    dialogues, seeds = values.mean(axis=1), values.mean(axis=0)
    rest = values - dialogues[:, None] - seeds + values.mean()
    between = n * float(np.var(seeds, ddof=1))
    within = float((rest**2).sum()) / ((n - 1) * (trainings - 1))
    training = math.sqrt(max(between - within, 0.0) / n)
    return Crossed(float(values.mean()), standard_error(dialogues), float(np.std(seeds, ddof=1)), training)


def between_runs(means: ArrayLike, errors: ArrayLike) -> float:
    """Estimate the sd of the means (K,) of independent runs without what their standard errors (K,) add; at least 0.

    The method of moments of the one-way random model, with equal weights: Cochran 1954, Biometrics 10, 101.
    """
    errors = np.asarray(errors, np.float64)
    return math.sqrt(max(float(np.var(np.asarray(means, np.float64), ddof=1) - (errors**2).mean()), 0.0))


def seed_half_width(sd: float, trainings: int, df: float, confidence: float) -> float:
    """Bound how far the seed moves a mean over so many trainings, one-sided: Student's t with the df of sd.

    An sd that is known has infinite df: the normal distribution.
    """
    from scipy.special import ndtri, stdtrit  # late: what has no seeds is spared the import

    quantile = ndtri(confidence) if math.isinf(df) else stdtrit(df, confidence)
    return float(quantile) * sd / math.sqrt(trainings)


def widen(found: Estimate, half_width: float) -> Estimate:
    """Widen an interval by the half-width of an independent part: on each side the two add up in quadrature.

    Zou & Donner 2008, Statistics in Medicine 27, 1693 (square-and-add).
    """
    value, low, high = found
    return Estimate(value, value - math.hypot(value - low, half_width), value + math.hypot(high - value, half_width))


def sign_flip(differences: ArrayLike, count: int = 10_000, seed: int = 0) -> Floats:
    """Compute two-sided p (K,) of paired differences (n, K) or (n,): p = (c + 1) / (R + 1), c flips at least as extreme.

    Under the null a difference is as likely as its negative. Phipson & Smyth 2010 for the two ones.
    """
    gaps = np.asarray(differences, np.float64)
    gaps = gaps[:, None] if gaps.ndim == 1 else gaps
    # Sums that are equal on paper differ in the last bits; they must count as equally extreme.
    observed = np.abs(gaps.sum(axis=0)) - 1e-12 * np.abs(gaps).sum(axis=0)
    rng, extreme = np.random.default_rng([seed, 1]), np.zeros(gaps.shape[1])
    for start in range(0, count, CHUNK):
        signs = rng.integers(0, 2, (min(CHUNK, count - start), len(gaps)), dtype=np.int8) * 2.0 - 1.0
        extreme += (np.abs(signs @ gaps) >= observed).sum(axis=0)
    return (extreme + 1) / (count + 1)


def holm(p: ArrayLike) -> Floats:
    """Adjust the p (K,) of one family. Holm 1979."""
    raw = np.asarray(p, np.float64)
    order = np.argsort(raw, kind="stable")
    adjusted = np.maximum.accumulate(raw[order] * (len(raw) - np.arange(len(raw))))
    result = np.empty_like(raw)
    result[order] = np.minimum(adjusted, 1.0)
    return result


def sign_flips(differences: Sequence[Floats], count: int = 10_000, seed: int = 0) -> list[float]:
    """Test each of several paired differences (n,) by sign flips; those over as many clusters share the flips."""
    p = [0.0] * len(differences)
    for n in sorted({len(gaps) for gaps in differences}):
        places = [k for k, gaps in enumerate(differences) if len(gaps) == n]
        found = sign_flip(np.stack([differences[k] for k in places], axis=1), count, seed).tolist()
        for k, value in zip(places, found, strict=True):
            p[k] = value
    return p


def holm_within(p: Sequence[float], families: Sequence[Hashable]) -> list[float]:
    """Adjust each p within its family by Holm's method; a test of family None makes no claim, and its p is 1."""
    adjusted = [1.0] * len(p)
    for family in dict.fromkeys(families):
        places = [k for k, own in enumerate(families) if own == family] if family is not None else []
        for k, value in zip(places, holm([p[k] for k in places]).tolist() if places else [], strict=True):
            adjusted[k] = value
    return adjusted


def attainable(p: Sequence[float], least: Sequence[float], families: Sequence[Hashable]) -> list[float]:
    """Compute what each p, corrected as by `holm_within`, would be if it were the `least` one it can be."""
    return [holm_within([*p[:k], least[k], *p[k + 1 :]], families)[k] for k in range(len(p))]


def smallest_p(differences: ArrayLike, count: int = 10_000) -> Floats:
    """Compute the p (K,) that `sign_flip` of so many differences (n, K) would give if all that are not 0 had one sign."""
    gaps = np.asarray(differences, np.float64)
    nonzero = ((gaps[:, None] if gaps.ndim == 1 else gaps) != 0).sum(axis=0)
    return np.maximum(np.minimum(2.0 ** (1 - nonzero), 1.0), 1 / (count + 1))


def smallest_detectable(differences: Floats, further_error: float = 0.0) -> float:
    """Compute the true mean difference that n paired differences (n,) find with 80 % power at two-sided 5 %.

    `further_error` is the standard error of what else moves their mean.
    """
    return (1.96 + 0.84) * math.hypot(standard_error(differences), further_error)


def improvement(before: ArrayLike, after: ArrayLike) -> Floats:
    """Compute equation 3.8: (before - after) / before, element by element; nan where `before` is 0. Positive is a fall."""
    old, new = np.atleast_1d(np.asarray(before, np.float64)), np.atleast_1d(np.asarray(after, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(old != 0, (old - new) / old, math.nan)
