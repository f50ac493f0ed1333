"""How often the gate is wrong, simulated from a report's own rows; `METHOD` says how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from bench import stats
from bench.compare import seed_variance
from bench.compare.gate.judge import bounds, settings
from bench.compare.gate.verdicts import failed, passed
from bench.compare.snapshot import Snapshot, rows_of
from bench.compare.sources import NotComparable
from bench.config.gate import GateConfig, Margin
from bench.core.parameters import ReportConfig
from bench.report.view import ColumnFormat

METHOD = """\
A pair of systems: the rows of one variant, drawn with replacement, and rows that correlate with them as two fine-tunes
of one base do, of the same mean and spread. The second system is then truly worse by a given drop, and each of the two
trainings may move its system's mean by some seed_sd. Only paired differences enter the rules, and a drop or seed_sd moves
all of them alike: so one bootstrap of the differences serves every drop.

Figures that go in: retraining with one recipe and seed moves ROUGE-1 by 0.23 points (standard deviation over eight
machines); the rows of two fine-tunes of one base correlate at 0.7 to 0.9. How much training moves the other gated
columns is measured: on the report's variants with `seeds`, or on several runs (`--runs`).

With three trainings a side, each system is the mean over its own: rows then differ by a third of the variance, and the
seed variance is estimated from the trainings (mean squares of the two-way table, drawn from their chi-squares) and
widens the bounds, as the gate does."""

DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SIZES = (125, 250, 500, 1000)
CORRELATIONS = (0.7, 0.8, 0.9)
CORRELATION, SIZE = 0.8, 500  # of the tables by n, and of the table by correlation
SEED_SD = 0.23
PAIRS, BLOCK, RESAMPLES, SEED = 10_000, 1_000, 4_000, 0
FALSE_FAILS, POWER, POWER_AT = 0.02, 0.9, 2.0
FEWEST = 30  # below, resampled rows say little about rows
TRAININGS = 3  # a side, of the rule that knows seed variance
ROUGE = "rouge1"  # what SEED_SD was measured on

Rates = dict[str, stats.Floats]  # rule -> (drops,)
Drawn = tuple[stats.Floats, stats.Floats, stats.Floats, np.random.Generator]


@dataclass(frozen=True)
class Judged:
    """A gated column where the targets are set: `rates` of FAILs by (seed_sd, trainings a side), (drops,) each.

    `needed` is the fail margin that keeps false fails of single trainings at the target, by seed_sd.
    """

    title: str
    margin: Margin
    known: seed_variance.SeedSpread | None
    factor: float
    rates: dict[tuple[float, int], stats.Floats]
    needed: dict[float, float]


@dataclass(frozen=True)
class Found:
    """The simulation's results; `rates` by (n, correlation, seed_sd), shares of pairs."""

    study: str
    source: str
    variant: str
    title: str
    margin: Margin
    confidence: float
    values: stats.Floats
    correlations: dict[str, float]
    pairs: int
    rates: dict[tuple[int, float, float], Rates]
    judged: list[Judged]

    @property
    def false_fails(self) -> float:
        """Of the default rule, with seed variance, where the targets are set."""
        return self.rate(CORRELATION, 0.0)

    @property
    def power(self) -> float:
        """Likewise, at the drop that the target names."""
        return self.rate(CORRELATION, POWER_AT)

    @property
    def compared(self) -> list[float]:
        """The correlations simulated: the usual ones, and that of the report's two most alike variants."""
        return sorted({r for n, r, _ in self.rates if n == SIZE})

    def rate(self, r: float, drop: float) -> float:
        """Return the share of FAILs of the default rule at the targets' n, with seed variance."""
        return float(self.rates[SIZE, r, SEED_SD]["gate"][DROPS.index(drop)])

    @property
    def kept(self) -> bool:
        """Whether both targets are met on these rows."""
        return self.false_fails <= FALSE_FAILS and self.power >= POWER


def simulate(
    state: Snapshot,
    variant: str | None,
    column: str | None,
    pairs: int = PAIRS,
    runs: dict[str, dict[str, Any]] | None = None,
) -> Found:
    """Simulate all tables for the rows of one variant; `runs` are the metrics of other runs of the study, with other seeds.

    Raises:
        NotComparable: the variant or column does not exist, or has too few dialogues.
    """
    column = column or settings(ReportConfig, "report", state.params).primary
    having = {name: entries[column]["value"] for name, entries in state.entries.items() if column in entries}
    variant = variant or max(having, key=lambda name: having[name], default="")
    if variant not in having:
        raise NotComparable(
            f"{state.name} has no {column} of variant '{variant}'; known: {', '.join(having) or 'none'}."
        )
    units = ColumnFormat(state.columns)
    means = {
        name: stats.cluster_means(rows_of(state.values[name][column], state.dialogues)) * units.factor(column)
        for name in having
    }
    values = means[variant]
    if len(values) < FEWEST:
        raise NotComparable(f"{state.name} has {len(values)} dialogues, too few to resample; score at least {FEWEST}.")
    others = {
        name: float(np.corrcoef(values, other)[0, 1])
        for name, other in means.items()
        if name != variant and len(other) == len(values) and other.std() > 0 < values.std()
    }
    config = settings(GateConfig, "gate", state.params)
    margin = config.judged(column, state.columns).get(column, Margin())
    seen = {likest(others)} if others else set()
    cells = [(n, CORRELATION) for n in SIZES] + [(SIZE, r) for r in sorted({*CORRELATIONS, *seen} - {CORRELATION})]
    rates = {
        (n, r, seed_sd): found
        for n, r in cells
        for seed_sd, found in _cell(values, n, r, margin, config.confidence, pairs).items()
    }
    judged = [
        _judge(state, variant, each, one, config.confidence, pairs, runs)
        for each, one in _gated(state, variant, config, column)
    ]
    return Found(
        state.study,
        state.name,
        variant,
        units.title(column),
        margin,
        config.confidence,
        values,
        others,
        pairs,
        rates,
        judged,
    )


def likest(correlations: dict[str, float]) -> float:
    """Return the highest correlation, to two digits; rows that run against each other count as unrelated."""
    return max(0.0, round(max(correlations.values()), 2))


def differences(values: stats.Floats, n: int, r: float, pairs: int, rng: np.random.Generator) -> stats.Floats:
    """Draw differences (n, pairs) of two systems of equal mean and spread whose rows correlate at r.

    From rows x drawn of the values and independent rows z drawn likewise: y = r x + sqrt(1 - r^2) z around the mean.
    """
    centred = values - values.mean()
    first, second = (centred[rng.integers(0, len(centred), (n, pairs))] for _ in range(2))
    return (r - 1) * first + np.sqrt(1 - r * r) * second


def _gated(state: Snapshot, variant: str, config: GateConfig, primary: str) -> Iterator[tuple[str, Margin]]:
    """The columns that the gate judges, as it finds them."""
    margins = config.judged(primary, state.columns)
    for column in state.entries[variant]:
        name = next((name for name in (column, *margins) if name in margins and fnmatchcase(column, name)), None)
        if name is not None:
            yield column, margins[name]


def _judge(
    state: Snapshot,
    variant: str,
    column: str,
    margin: Margin,
    confidence: float,
    pairs: int,
    runs: dict[str, dict[str, Any]] | None,
) -> Judged:
    """One gated column at the targets' n and correlation, with every seed variance that is known for it."""
    units = ColumnFormat(state.columns)
    side = -1 if (margin.better or units.better(column)) == "lower" else 1
    factor = units.factor(column)
    values = side * factor * stats.cluster_means(rows_of(state.values[variant][column], state.dialogues))
    known = seed_variance.of_runs(runs, column) if runs else seed_variance.of_seeds(state, column)
    sds = [SEED_SD] if column == ROUGE else []
    sds += [round(factor * known.pooled, 2)] if known else []
    rates: dict[tuple[float, int], stats.Floats] = {}
    needed = {}
    for trainings in (1, TRAININGS):
        # Means over so many trainings differ by that much less.
        mean, _, upper, rng = _drawn(values, SIZE, 1 - (1 - CORRELATION) / trainings, confidence, pairs)
        for seed_sd in dict.fromkeys([0.0, *sds]):
            moved = seed_sd * rng.normal(0.0, np.sqrt(2 / trainings), pairs)
            own = (1 - CORRELATION) * float(values.var())
            half_width = (
                _estimated_half_width(seed_sd, own, trainings, confidence, pairs, rng) if trainings > 1 else 0.0
            )
            bound = mean + np.hypot(upper - mean, half_width) + moved
            rates[seed_sd, trainings] = failed(bound[:, None] - np.array(DROPS), margin.fail_margin).mean(axis=0)
            if trainings == 1:
                needed[seed_sd] = max(0.0, -float(np.quantile(bound, FALSE_FAILS)))
    return Judged(units.title(column), margin, known, factor, rates, needed)


def _estimated_half_width(
    seed_sd: float, own: float, trainings: int, confidence: float, pairs: int, rng: np.random.Generator
) -> stats.Floats:
    """(pairs,): how far seed variance reaches as two states estimate it; `own` is the rows' own variance."""
    df = trainings - 1
    between = (SIZE * seed_sd**2 + own) * rng.chisquare(df, (2, pairs)) / df
    rest = own * rng.chisquare(df * (SIZE - 1), (2, pairs)) / (df * (SIZE - 1))
    sd = np.sqrt(np.maximum(between - rest, 0.0).mean(axis=0) / SIZE)
    return np.asarray(sd * stats.seed_half_width(np.sqrt(2 / trainings), 1, 2 * df, confidence))


def _drawn(values: stats.Floats, n: int, r: float, confidence: float, pairs: int) -> Drawn:
    """Mean, lower and upper bound (pairs,) of the gain of every pair, and the generator that drew them."""
    rng = np.random.default_rng([SEED, n, round(1000 * r)])
    parts = list(_bounds(values, n, r, confidence, pairs, rng))
    mean, lower, upper = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, lower, upper, rng


def _cell(values: stats.Floats, n: int, r: float, margin: Margin, confidence: float, pairs: int) -> dict[float, Rates]:
    """The rates of every rule without and with seed variance."""
    mean, lower, upper, rng = _drawn(values, n, r, confidence, pairs)
    seed_sd = rng.normal(0.0, np.sqrt(2.0), pairs)  # the difference of two trainings, in units of one's deviation
    found = {}
    for size in (0.0, SEED_SD):
        moved = size * seed_sd[:, None] - np.array(DROPS)
        found[size] = {
            "gate": failed(upper[:, None] + moved, margin.fail_margin).mean(axis=0),
            "pass": (
                passed(lower[:, None] + moved, margin.pass_margin) & ~failed(upper[:, None] + moved, margin.fail_margin)
            ).mean(axis=0),
            "paired": failed(upper[:, None] + moved, 0.0).mean(axis=0),
            "drop": (mean[:, None] + moved < -margin.fail_margin).mean(axis=0),
        }
    return found


def _bounds(
    values: stats.Floats, n: int, r: float, confidence: float, pairs: int, rng: np.random.Generator
) -> Iterator[tuple[stats.Floats, stats.Floats, stats.Floats]]:
    """Mean, lower and upper bound of every pair, in blocks that fit in memory, each with resamples of its own."""
    for start in range(0, pairs, BLOCK):
        gains = differences(values, n, r, min(BLOCK, pairs - start), rng)
        yield gains.mean(axis=0), *bounds(gains, confidence, RESAMPLES, SEED + start)
