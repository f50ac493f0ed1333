"""How much training again moves a score, as the rows of variants with several seeds tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bench import stats
from bench.compare.snapshot import Snapshot, rows_of, seeds_of


@dataclass(frozen=True)
class Noise:
    """The noise of training in a difference of two states' means.

    `sd` of one training, in the column's own unit, with its degrees of freedom; `before` and `after` are how many
    trainings the states' means are over.
    """

    sd: float
    df: int
    before: int
    after: int

    @property
    def error(self) -> float:
        """Its standard error in the difference."""
        return self.sd * math.sqrt(1 / self.before + 1 / self.after)

    def reach(self, confidence: float) -> float:
        """How far it moves the difference, one-sided."""
        return stats.training_reach(self.error, 1, self.df, confidence)


def measured(old: Snapshot, new: Snapshot, variant: str, column: str) -> Noise | None:
    """The noise of training, pooled over the states whose variant has seeds; None where neither has."""
    tables = [by_training(state, variant, column) for state in (old, new)]
    told = [table for table in tables if table.shape[1] > 1]
    if not told:
        return None
    dfs = [table.shape[1] - 1 for table in told]
    variances = [stats.crossed(table).sd_training ** 2 for table in told]
    sd = math.sqrt(float(np.average(variances, weights=dfs)))
    return Noise(sd, sum(dfs), tables[0].shape[1], tables[1].shape[1])


def by_training(state: Snapshot, variant: str, column: str) -> stats.Floats:
    """(n, S): the means of each dialogue by training, one column where there is one training."""
    values = state.values[variant][column]
    apart = [{key: value for key, value in values.items() if key.seed == seed} for seed in seeds_of(values)]
    return np.stack([stats.cluster_means(rows_of(some, state.dialogues)) for some in apart], axis=1)
