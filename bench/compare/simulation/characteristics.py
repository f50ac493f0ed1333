"""How often the gate is wrong about a whole study, simulated from a report's own rows; `METHOD` says how."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from bench import stats
from bench.compare import seed_variance
from bench.compare.gate.judge import settings
from bench.compare.gate.verdicts import failed, passed
from bench.compare.snapshot import Snapshot, rows_of
from bench.compare.sources import NotComparable
from bench.config.gate import GateConfig, Margin
from bench.core.parameters import ReportConfig
from bench.report.supports import support_of
from bench.report.view import ColumnFormat

METHOD = """\
A study: every variant that is trained, and every column that the gate judges. The rows of each are drawn with
replacement, those of its second training correlate with them as two fine-tunes of one base do (0.8) and have the same
mean and spread; each training moves its own mean by the sd of training, and that of the judge in the proportion that the
runs show. In an honest study nothing is worse. Else one variant's column is, by the loss that heads the table: its FAIL is
the power. The bounds are the gate's own.

How the sd of training is known: `gate.training_sd`, drawn as runs with other seeds estimate it (with the part that their
own dialogues add; degrees of freedom: runs less one, times the variants); or `seeds` on both sides, each score the mean over them, the sd estimated from the two-way
tables of dialogues and trainings (mean squares drawn from their chi-squares). Where neither is known, a variant that was
trained again never fails."""

SDS = (0.23, 0.6, 1.1)  # points of ROUGE: eight machines with one recipe and seed; this project's variants by seed
MEASURED = "as measured"  # each variant's own, which the pooled estimate takes for one
LOSSES = (1.0, 2.0, 3.0, 5.0)
SIZES = (125, 300, 500)
CORRELATION = 0.8
RUNS, SEEDS = 3, 3  # behind `gate.training_sd`; a side
STUDIES, DRAWS, SEED = 2_000, 4_000, 0
FEWEST = 30  # dialogues; below, resampled rows say little about rows
FALSE_FAILS = 0.03
RATIO = 3.0  # of the judge's sd of training to ROUGE's, both in printed points, where no runs tell
KNOWLEDGE = ("gate.training_sd", "seeds")


@dataclass(frozen=True, eq=False)
class Cell:
    """One judged column of one variant: its rows (n,) in the printed unit, better is higher."""

    variant: str
    column: str
    title: str
    margin: Margin
    values: stats.Floats
    support: stats.Support | None


@dataclass(frozen=True)
class Rates:
    """Of simulated studies: how many honest ones have any FAIL, what share of honest cells pass, and the power.

    `power` is by column, (losses,): the share of cells of that column that FAIL at such a loss.
    """

    false_fails: float
    passes: float
    power: dict[str, stats.Floats]


@dataclass(frozen=True)
class Found:
    """The simulation's results: `rates` by (n, sd of the primary column or MEASURED, how it is known)."""

    study: str
    source: str
    cells: list[Cell]
    confidence: float
    studies: int
    ratios: dict[str, float]
    spreads: dict[str, tuple[seed_variance.SeedSpread | None, float]]
    rates: dict[tuple[int, float | str, str], Rates]

    @property
    def false_fails(self) -> float:
        """The highest rate of false fails of a whole study."""
        return max(rates.false_fails for rates in self.rates.values())

    @property
    def kept(self) -> bool:
        """Whether the target is met on these rows."""
        return self.false_fails <= FALSE_FAILS


def simulate(state: Snapshot, runs: dict[str, dict[str, Any]] | None = None, studies: int = STUDIES) -> Found:
    """Simulate studies of every size; `runs` are the metrics of other runs of the study, with other seeds.

    Raises:
        NotComparable: no column is judged, or the report has too few dialogues.
    """
    config, primary = settings(GateConfig, "gate", state.params), settings(ReportConfig, "report", state.params).primary
    cells = list(_cells(state, config, primary))
    if not cells:
        raise NotComparable(f"{state.name} has no trained variant with a column that the gate judges.")
    least = min(len(cell.values) for cell in cells)
    if least < FEWEST:
        raise NotComparable(f"{state.name} has {least} dialogues, too few to resample; score at least {FEWEST}.")
    units = ColumnFormat(state.columns)
    columns = list(dict.fromkeys(cell.column for cell in cells))
    spreads = {
        column: (
            seed_variance.of_runs(runs, column) if runs else seed_variance.of_seeds(state, column),
            units.factor(column),
        )
        for column in columns
    }
    ratios = {column: _ratio(spreads, column, columns[0]) for column in columns}
    scenes: dict[float | str, list[float]] = {sd: [sd * ratios[cell.column] for cell in cells] for sd in SDS}
    scenes |= {MEASURED: own} if (own := _measured(cells, spreads)) else {}
    rates: dict[tuple[int, float | str, str], Rates] = {}
    for n in SIZES:
        for knowledge in KNOWLEDGE:
            drawn = [
                _drawn(cell, n, SEEDS if knowledge == "seeds" else 1, config, len(cells), studies) for cell in cells
            ]
            for sd, each in scenes.items():
                rates[n, sd, knowledge] = _rates(cells, drawn, n, each, knowledge, config, studies)
    return Found(state.study, state.name, cells, config.confidence, studies, ratios, spreads, rates)


def _ratio(spreads: dict[str, tuple[seed_variance.SeedSpread | None, float]], column: str, first: str) -> float:
    """How much more training moves a column than the first, in printed units."""
    (own, factor), (other, unit) = spreads[column], spreads[first]
    if column == first:
        return 1.0
    return factor * own.pooled / (unit * other.pooled) if own and other and other.pooled else RATIO


def _measured(
    cells: list[Cell], spreads: dict[str, tuple[seed_variance.SeedSpread | None, float]]
) -> list[float] | None:
    """The sd of training of each cell as it was measured; None where one was not."""
    found = []
    for cell in cells:
        spread, factor = spreads[cell.column]
        if spread is None or cell.variant not in spread.by_variant:
            return None
        found.append(factor * spread.by_variant[cell.variant])
    return found


def _cells(state: Snapshot, config: GateConfig, primary: str) -> Iterator[Cell]:
    """What the gate judges of the variants that are trained, the primary column first."""
    margins, units = config.judged(primary, state.columns), ColumnFormat(state.columns)
    blocks = state.params.get("variants") or {}
    for name in sorted(margins, key=lambda name: name != primary):
        for variant, entries in state.entries.items():
            if (blocks.get(variant) or {}).get("method") == "none":
                continue
            for column in entries:
                if fnmatchcase(column, name) and (column == name or column not in margins):
                    side = -1 if (margins[name].better or units.better(column)) == "lower" else 1
                    means = stats.cluster_means(rows_of(state.values[variant][column], state.dialogues))
                    values, factor = side * units.factor(column) * means, units.factor(column)
                    meaning = state.columns.get(column)
                    ends = stats.of_differences(support_of(meaning, [means])) if meaning else None
                    support = None if ends is None else (factor * ends[0], factor * ends[1])
                    yield Cell(variant, column, units.title(column), margins[name], values, support)


def differences(values: stats.Floats, n: int, r: float, pairs: int, rng: np.random.Generator) -> stats.Floats:
    """Draw differences (n, pairs) of two systems of equal mean and spread whose rows correlate at r.

    From rows x drawn of the values and independent rows z drawn likewise: y = r x + sqrt(1 - r^2) z around the mean.
    """
    centred = values - values.mean()
    first, second = (centred[rng.integers(0, len(centred), (n, pairs))] for _ in range(2))
    return (r - 1) * first + np.sqrt(1 - r * r) * second


Drawn = tuple[stats.Floats, stats.Floats, stats.Floats]


def _drawn(cell: Cell, n: int, trainings: int, config: GateConfig, cells: int, studies: int) -> Drawn:
    """Mean, lower and upper bound (studies,) of the gain of one cell, by the dialogues alone.

    Means over so many trainings differ by that much less.
    """
    rng = np.random.default_rng([SEED, n, trainings, *cell.variant.encode(), *cell.column.encode()])
    r = 1 - (1 - CORRELATION) / trainings
    mean: list[stats.Floats] = []
    lower: list[stats.Floats] = []
    upper: list[stats.Floats] = []
    for start in range(0, studies, 500):
        gains = differences(cell.values, n, r, min(500, studies - start), rng)
        supports = [cell.support] * gains.shape[1]
        mean.append(gains.mean(axis=0))
        for ends, side, confidence in (
            (lower, 0, config.confidence),
            (upper, 1, 1 - (1 - config.confidence) / cells),
        ):
            ends.append(stats.mean_intervals(gains, supports, 2 * confidence - 1, DRAWS, SEED + start)[side])
    return np.concatenate(mean), np.concatenate(lower), np.concatenate(upper)


def _rates(
    cells: list[Cell], drawn: list[Drawn], n: int, sds: list[float], knowledge: str, config: GateConfig, studies: int
) -> Rates:
    """The rates where training moves each cell by its sd; what is known of it is shared by the cells of a column."""
    rng = np.random.default_rng([SEED, n, KNOWLEDGE.index(knowledge), *(round(1000 * sd) for sd in sds)])
    chance = (1 - config.confidence) / len(cells)
    scale = math.sqrt(2 / (SEEDS if knowledge == "seeds" else 1))
    reach: dict[tuple[str, str], tuple[stats.Floats, float]] = {}
    for column in dict.fromkeys(cell.column for cell in cells):
        own = [(cell, sd) for cell, sd in zip(cells, sds, strict=True) if cell.column == column]
        reach |= _estimated(own, n, knowledge, studies, rng)
    any_fail = np.zeros(studies, bool)
    passes, power = [], dict[str, list[stats.Floats]]()
    for cell, sd, (mean, lower, upper) in zip(cells, sds, drawn, strict=True):
        estimate, df = reach[cell.variant, cell.column]
        moved = sd * scale * rng.normal(0.0, 1.0, studies)
        above, below = (
            estimate * stats.seed_half_width(scale, 1, df, level) for level in (1 - chance, config.confidence)
        )
        bound = mean + np.hypot(upper - mean, above) + moved
        any_fail |= failed(bound, cell.margin.fail_margin)
        floor = mean - np.hypot(mean - lower, below) + moved
        passes.append(float(passed(floor, cell.margin.pass_margin).mean()))
        fails = failed(bound[:, None] - np.array(LOSSES), cell.margin.fail_margin).mean(axis=0)
        power.setdefault(cell.column, []).append(fails)
    return Rates(
        float(any_fail.mean()), float(np.mean(passes)), {key: np.mean(some, axis=0) for key, some in power.items()}
    )


def _estimated(
    own: list[tuple[Cell, float]], n: int, knowledge: str, studies: int, rng: np.random.Generator
) -> dict[tuple[str, str], tuple[stats.Floats, float]]:
    """The sd of training of each cell of a column as each study knows it (studies,), with its degrees of freedom."""
    df, variances = (RUNS - 1 if knowledge != "seeds" else 2 * (SEEDS - 1)), []
    for cell, sd in own:
        if knowledge != "seeds":
            dialogues = float(cell.values.var()) / len(cell.values)  # runs with other seeds have other dialogues too
            variances.append((sd**2 + dialogues) * rng.chisquare(df, studies) / df)
            continue
        rows = (1 - CORRELATION) * float(cell.values.var())
        half = SEEDS - 1  # of each state
        between = (n * sd**2 + rows) * rng.chisquare(half, (2, studies)) / half
        within = rows * rng.chisquare(half * (n - 1), (2, studies)) / (half * (n - 1))
        variances.append(np.maximum((between - within) / n, 0.0).mean(axis=0))
    pooled = np.mean(variances, axis=0)
    found = {}
    for (cell, _), variance in zip(own, variances, strict=True):
        taken = seed_variance.taken(pooled, variance) if knowledge == "seeds" else pooled
        found[cell.variant, cell.column] = (np.sqrt(taken), float(df * len(own)))
    return found
