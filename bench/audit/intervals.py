"""Intervals that cover at ten rows, where normal and percentile ones are too short: Student's t, Fieller, Pitman-Morgan.

All are two-sided at 95 % and exact for normal rows. Shapes: n rows.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import stdtrit

from bench import stats
from bench.stats import Floats

CONFIDENCE, POWER = 0.95, 0.80


def quantile(n: int) -> float:
    """Compute the factor of a standard error with n - 1 degrees of freedom, which replaces 1.96; nan for one row."""
    return float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) if n > 1 else math.nan


def detectable(error: float, n: int) -> float:
    """Compute the true difference that n rows with this standard error find with 80 % power at two-sided 5 %."""
    return (quantile(n) + float(stdtrit(n - 1, POWER))) * error if n > 1 else math.nan


def mean(values: Floats) -> tuple[float, float]:
    """Compute Student's interval of the mean of values (n,)."""
    low, high = stats.mean_intervals(values[:, None], [None], CONFIDENCE)
    return float(low[0]), float(high[0])


def relative_change(before: Floats, after: Floats) -> tuple[float, float]:
    """Compute the interval of mean(after) / mean(before) - 1 of paired values (n,), (n,). Fieller 1954, JRSS B 16, 175.

    (nan, nan) where mean(before) is not certain to differ from 0: the interval has no ends then.
    """
    n, t = len(before), quantile(len(before))
    covariance = np.cov(after, before, ddof=1) / n if n > 1 else np.full((2, 2), math.nan)
    new, old = float(after.mean()), float(before.mean())
    a = old**2 - t**2 * covariance[1, 1]
    b = old * new - t**2 * covariance[0, 1]
    c = new**2 - t**2 * covariance[0, 0]
    if not a > 0:
        return math.nan, math.nan
    reach = math.sqrt(max(b**2 - a * c, 0.0))
    return float((b - reach) / a) - 1, float((b + reach) / a) - 1


def deviation_ratio(before: Floats, after: Floats) -> tuple[float, float]:
    """Compute the interval of sd(after) / sd(before) of paired values (n,), (n,). Pitman 1939, Biometrika 31, 9.

    (nan, nan) with fewer than three pairs or where one of them does not vary.
    """
    n, old, new = len(before), float(np.std(before, ddof=1)), float(np.std(after, ddof=1))
    if n < 3 or not old or not new:
        return math.nan, math.nan
    unlike = 1 - float(np.corrcoef(before, after)[0, 1]) ** 2
    wide = 1 + 2 * unlike * quantile(n - 1) ** 2 / (n - 2)
    reach = math.sqrt(max(wide**2 - 1, 0.0))
    return new / old * math.sqrt(wide - reach), new / old * math.sqrt(wide + reach)
