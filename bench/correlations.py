"""Rank correlation by system and by summary, and shares of pairs, with bootstrap intervals.

Shapes: D dialogues, S systems, R resamples, K raters. A table is (D, S): a value a dialogue and system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from bench.stats import Estimate, Floats

RESAMPLES, SEED = 10_000, 0
CHUNK = 500  # resamples at a time: 500 x 13 x 13 signs of 13 systems are 0.7 MB
FEWEST = 8  # systems or dialogues: fewer have too few different resamples for an interval
APART = 1.0  # points of a rating that two summaries of a dialogue must lie apart for their order to count

Pair = tuple[Floats, Floats]


class Agreement(NamedTuple):
    """How one table ranks as another does: Spearman's and Kendall's coefficient, the share of clear pairs, and the slope:
    by how much the rating rises with one more of the value, among summaries of one dialogue (least squares)."""

    system_spearman: Estimate
    system_kendall: Estimate
    summary_spearman: Estimate
    summary_kendall: Estimate
    clear_pairs: Estimate
    slope: Estimate
    pairs: int


def spearman(a: Floats, b: Floats) -> Floats:
    """Compute Spearman's rho along the last axis of (..., n), (..., n); nan where one of them is constant."""
    ranks = [rankdata(values, axis=-1) for values in (a, b)]
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return found


def kendall(a: Floats, b: Floats) -> Floats:
    """Compute Kendall's tau-b along the last axis of (..., n), (..., n); nan where one of them is constant."""
    i, j = np.triu_indices(a.shape[-1], 1)
    x, y = (np.sign(values[..., i] - values[..., j]) for values in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (x * y).sum(axis=-1) / np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return found


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Compute how values rank as ratings do, tables (D, S) each; several pairs (one a rater) are averaged.

    By system: the coefficient of the systems' means, its interval from resampling dialogues and systems both (Deutsch,
    Dror & Roth 2021, TACL 9, 1132). By summary: the mean over dialogues of the coefficient within the dialogue, its
    interval from resampling dialogues; dialogues where one side is constant have none and are left out.
    """
    found = {}
    for name, coefficient in (("spearman", spearman), ("kendall", kendall)):
        found[f"system_{name}"] = _by_system(pairs, coefficient)
        within = np.concatenate([coefficient(values, ratings) for values, ratings in pairs])
        there = np.isfinite(within)
        shape = (len(pairs), -1)
        sums = np.where(there, within, 0.0).reshape(shape).sum(axis=0)
        found[f"summary_{name}"] = ratio(sums, there.astype(float).reshape(shape).sum(axis=0))
    hits, sizes = (np.sum(parts, axis=0) for parts in zip(*(_clear(*pair) for pair in pairs), strict=True))
    rises, spreads = (np.sum(parts, axis=0) for parts in zip(*(_slope(*pair) for pair in pairs), strict=True))
    return Agreement(
        **found,
        clear_pairs=ratio(hits, sizes),
        slope=ratio(rises, spreads),
        pairs=round(float(np.sum(sizes)) / len(pairs)),
    )


def _by_system(pairs: Sequence[Pair], coefficient: Callable[[Floats, Floats], Floats]) -> Estimate:
    dialogues, systems = pairs[0][0].shape
    value = float(np.mean([coefficient(values.mean(axis=0), ratings.mean(axis=0)) for values, ratings in pairs]))
    if systems < FEWEST or not np.isfinite(value):
        return Estimate(value, np.nan, np.nan)
    rng, draws = np.random.default_rng([SEED, 2]), []
    for counts in _resamples(dialogues):
        drawn = rng.integers(0, systems, (len(counts), systems))
        means = [[np.take_along_axis(counts @ table / dialogues, drawn, axis=1) for table in pair] for pair in pairs]
        draws.append(np.mean([coefficient(*both) for both in means], axis=0))
    every = np.concatenate(draws)
    return _interval(value, every[np.isfinite(every)])


def _clear(values: Floats, ratings: Floats) -> Pair:
    """Of each dialogue (D,): pairs of summaries ranked as rated (a tie is half), and pairs rated clearly apart."""
    i, j = np.triu_indices(values.shape[1], 1)
    gap, rated = values[:, i] - values[:, j], ratings[:, i] - ratings[:, j]
    apart = np.abs(rated) >= APART - 1e-9  # thirds of a point are not exact
    right = np.where(gap == 0, 0.5, (np.sign(gap) == np.sign(rated)).astype(float))
    return (right * apart).sum(axis=1), apart.sum(axis=1).astype(float)


def _slope(values: Floats, ratings: Floats) -> Pair:
    """Of each dialogue (D,): the covariance of values and ratings within it, and the variance of the values, as sums."""
    own = values - values.mean(axis=1, keepdims=True)
    return (own * (ratings - ratings.mean(axis=1, keepdims=True))).sum(axis=1), (own**2).sum(axis=1)


def preferred(first: Floats, second: Floats, clusters: Sequence[str]) -> Estimate:
    """Compute how often the second of a pair (P,) has the larger value, ties half; the interval clusters by dialogue."""
    won = np.where(second == first, 0.5, (second > first).astype(float))
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    return ratio(np.bincount(codes, won).astype(np.float64), np.bincount(codes).astype(np.float64))


def ratio(sums: Floats, sizes: Floats) -> Estimate:
    """Compute sum(sums) / sum(sizes) over clusters (n,), (n,) with its bootstrap interval.

    nan where there is nothing; no interval where fewer than FEWEST clusters have a size.
    """
    there = sizes > 0
    if not there.any():
        return Estimate(np.nan, np.nan, np.nan)
    value = float(sums.sum() / sizes.sum())
    if there.sum() < FEWEST:
        return Estimate(value, np.nan, np.nan)
    sums, sizes = sums[there], sizes[there]
    draws = np.concatenate([(c @ sums) / (c @ sizes) for c in _resamples(len(sums))])
    return _interval(value, draws)


def _resamples(n: int) -> Iterator[Floats]:
    """Yield how often each of n dialogues is drawn, (at most CHUNK, n) at a time; the same for every column."""
    rng = np.random.default_rng(SEED)
    for start in range(0, RESAMPLES, CHUNK):
        yield rng.multinomial(n, np.full(n, 1 / n), min(CHUNK, RESAMPLES - start)).astype(np.float64)


def _interval(value: float, draws: Floats) -> Estimate:
    """The value with the percentile interval of its draws (R,)."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
