"""How much training again moves a score, as the rows of variants with several seeds tell it, or several runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench import stats
from bench.compare.pairs import fields
from bench.compare.snapshot import Snapshot, rows_of, seeds_of
from bench.config.gate import TrainingSd


@dataclass(frozen=True)
class SeedVariance:
    """Seed variance in a difference of two states' means.

    `sd` of one training, in the column's own unit, with its degrees of freedom (infinite where it is known); `before` and
    `after` are how many trainings the states' means are over.
    """

    sd: float
    df: float
    before: int
    after: int

    @property
    def error(self) -> float:
        """Its standard error in the difference."""
        return self.sd * math.sqrt(1 / self.before + 1 / self.after)

    def half_width(self, confidence: float) -> float:
        """Return how far it moves the difference, one-sided."""
        return stats.seed_half_width(self.error, 1, self.df, confidence)


def known(
    old: Snapshot, new: Snapshot, variant: str, column: str, stated: TrainingSd | None, factor: float
) -> SeedVariance | None:
    """Say what training again moves a column by: as the states' seeds measure it, else as params state it; else None.

    The variance is pooled over all variants with seeds of both states, for few trainings of one variant tell it badly; see
    `taken`. `factor` is that of the printed unit.
    """
    trainings = [len(seeds_of(state.values[variant][column])) for state in (old, new)]
    tables = [
        (name, by_training(state, name, column))
        for state in (old, new)
        for name, columns in state.values.items()
        if len(seeds_of(columns.get(column, {}))) > 1
    ]
    if tables:
        dfs = np.array([table.shape[1] - 1 for _, table in tables])
        variances = np.array([stats.crossed(table).sd_training ** 2 for _, table in tables])
        own = np.array([name == variant for name, _ in tables])
        pooled = np.average(variances, weights=dfs)
        variance = taken(pooled, np.average(variances[own], weights=dfs[own])) if own.any() else pooled
        return SeedVariance(math.sqrt(float(variance)), int(dfs.sum()), *trainings)
    if stated is not None:
        return SeedVariance(stated.sd / factor, math.inf if stated.df is None else stated.df, *trainings)
    return None


def taken(pooled: ArrayLike, own: ArrayLike) -> stats.Floats:
    """Take the larger of the variance that is pooled over variants and a variant's own; works on arrays.

    Pooled alone is too little for a variant that spreads more than the others (PPO, by a factor of three over LoRA), and its
    own alone, of two degrees of freedom a side, is so unsure that little would ever be told.
    """
    return np.maximum(pooled, own)


def was_trained_again(old: Snapshot, new: Snapshot, variant: str) -> bool:
    """Tell whether a variant's weights, or those that it was trained from, are another training's than before.

    `dvc.lock` tells; what it does not tell counts as trained again.
    """
    blocks = new.params.get("variants") or {}
    chain = [variant]
    while (start := (blocks.get(chain[-1]) or {}).get("init")) in blocks and start not in chain:
        chain.append(str(start))
    trained = [name for name in chain if (blocks.get(name) or {}).get("method") != "none"]
    return any(old.models.get(name) is None or old.models.get(name) != new.models.get(name) for name in trained)


def by_training(state: Snapshot, variant: str, column: str) -> stats.Floats:
    """Return the means (n, S) of each dialogue by training, one column where there is one training."""
    values = state.values[variant][column]
    apart = [{key: value for key, value in values.items() if key.seed == seed} for seed in seeds_of(values)]
    return np.stack([stats.cluster_means(rows_of(some, state.dialogues)) for some in apart], axis=1)


@dataclass(frozen=True)
class SeedSpread:
    """What is known of one column beforehand: the standard deviation of each variant's trainings, in its own unit.

    `by_variant` is without what the choice of dialogues adds; `stated` is pooled with it, and so has `df` degrees of
    freedom: without, it would have fewer, and widen bounds by more.
    """

    by_variant: dict[str, float]
    stated: float
    df: int
    source: str

    @property
    def pooled(self) -> float:
        """The root of the mean variance."""
        return math.sqrt(float(np.mean(np.square(list(self.by_variant.values())))))


def of_seeds(state: Snapshot, column: str) -> SeedSpread | None:
    """Estimate from the variants with seeds; None where there is none."""
    tables = {
        name: by_training(state, name, column)
        for name, columns in state.values.items()
        if len(seeds_of(columns.get(column, {}))) > 1
    }
    if not tables:
        return None
    parts = {name: stats.crossed(table) for name, table in tables.items()}
    dfs = [table.shape[1] - 1 for table in tables.values()]
    plain = math.sqrt(float(np.average([each.sd_seeds**2 for each in parts.values()], weights=dfs)))
    found = {name: each.sd_training for name, each in parts.items()}
    return SeedSpread(found, plain, sum(dfs), "its variants with several seeds")


def of_runs(runs: dict[str, dict[str, Any]], column: str) -> SeedSpread | None:
    """Estimate from the metrics of whole runs with other seeds; None where they have no such column of a trained variant.

    What each run's own dialogues add is taken off, so the runs must not share them: else the plain spread is given.
    """
    found, plain, shared = {}, [], False
    for variant in set.intersection(*(set(run["changes"]) for run in runs.values())):
        entries = [run["variants"][variant].get(column) for run in runs.values()]
        if all(entries):
            shared = len({fields(entry["signature"]).get("data") for entry in entries}) < len(entries)
            errors = [0.0 if shared else entry["se"] for entry in entries]
            values = [entry["value"] for entry in entries]
            found[variant] = stats.between_runs(values, errors)
            plain.append(float(np.var(values, ddof=1)))
    order = [name for name in next(iter(runs.values()))["variants"] if name in found]
    source = f"{len(runs)} runs with other seeds{'' if shared else ', also of data and models'}: {', '.join(runs)}"
    if not found:
        return None
    stated = math.sqrt(float(np.mean(plain)))
    return SeedSpread({name: found[name] for name in order}, stated, (len(runs) - 1) * len(found), source)
