"""Between which numbers a column's values can lie, which decides the interval that its mean gets: see `stats.mean_intervals`."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from bench import stats
from bench.metrics import Column

FEW_CHANGED, MOST = 15, 0.8  # dialogues, and their share, below which changes of quality are sparse
FEWEST = 25  # dialogues that show the range of a column; of 12, the intervals covered 86 %


def support_of(column: Column, values: Collection[stats.Floats]) -> stats.Support | None:
    """Say between which numbers a column's values lie; None for quality, which spreads evenly.

    Shares lie in [0, 1], KL is positive. Logits, words and ratios lie within what some system of the study shows
    (`values`, one array a system): a rare outlier of one (a loop to the limit, an insult) is usual in another. Too few
    values show no range, and what cannot be bounded has no interval: nan.
    """
    if column.unit == "share":
        return (0.0, 1.0)
    if column.unit in ("points", "nats"):
        return (0.0, math.inf) if column.unit == "nats" else None
    if min(map(len, values)) < FEWEST:
        return (math.nan, math.nan)
    ends = [(float(some.min()), float(some.max())) for some in values]
    return min(low for low, _ in ends), max(high for _, high in ends)


def support_of_differences(
    column: Column, values: Collection[stats.Floats], differences: stats.Floats
) -> stats.Support | None:
    """Say between which numbers the differences (n,) of a column lie, of which `values` are what the systems show.

    Quality spreads evenly where most dialogues changed. Where few did, the differences are as sparse as insults are, and
    Student's t knows nothing of a large one that was not drawn (78 % of 12 dialogues): then their bounds count.
    """
    changed = int(np.count_nonzero(differences))
    if column.unit == "points" and changed < min(FEW_CHANGED, MOST * len(differences)):
        return (-1.0, 1.0)
    return stats.of_differences(support_of(column, values))
