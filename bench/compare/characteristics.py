"""How often the gate is wrong, simulated from a report's own rows.

A pair of systems: the rows of one variant, drawn with replacement, and rows that correlate with them as two fine-tunes
of one base do, of the same mean and spread. The second system is then truly worse by a given drop, and each of the two
trainings may move its system's mean by some noise. Only paired differences enter the rules, and a drop or noise moves
all of them alike: so one bootstrap of the differences serves every drop.

Figures that go in: retraining with one recipe and seed moves ROUGE-1 by 0.23 points (standard deviation over eight
machines); the rows of two fine-tunes of one base correlate at 0.7 to 0.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench import stats
from bench.compare.gate import bounds, settings
from bench.compare.snapshot import Snapshot, rows_of
from bench.compare.sources import NotComparable
from bench.compare.units import Units
from bench.compare.verdicts import failed, passed
from bench.config import ReportConfig
from bench.margins import GateConfig, Margin
from bench.report.markdown import bullets, cell, section, table

DROPS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SIZES = (125, 250, 500, 1000)
CORRELATIONS = (0.7, 0.8, 0.9)
CORRELATION, SIZE = 0.8, 500  # of the tables by n, and of the table by correlation
TRAINING_NOISE = 0.23
PAIRS, BLOCK, RESAMPLES, SEED = 10_000, 1_000, 4_000, 0
FALSE_FAILS, POWER, POWER_AT = 0.02, 0.9, 2.0
FEWEST = 30  # below, resampled rows say little about rows

Rates = dict[str, stats.Floats]  # rule -> (drops,)


@dataclass(frozen=True)
class Found:
    """The simulation's results; `rates` by (n, correlation, noise), shares of pairs."""

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

    @property
    def false_fails(self) -> float:
        """Of the default rule, with the noise of training, where the targets are set."""
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
        """Share of FAILs of the default rule at the targets' n, with the noise of training."""
        return float(self.rates[SIZE, r, TRAINING_NOISE]["gate"][DROPS.index(drop)])

    @property
    def kept(self) -> bool:
        """Whether both targets are met on these rows."""
        return self.false_fails <= FALSE_FAILS and self.power >= POWER


def simulate(state: Snapshot, variant: str | None, column: str | None, pairs: int = PAIRS) -> Found:
    """All tables for the rows of one variant.

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
    units = Units(state, state)
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
    margin = config.judged(column).get(column, Margin())
    seen = {round(max(others.values()), 2)} if others else set()
    cells = [(n, CORRELATION) for n in SIZES] + [(SIZE, r) for r in sorted({*CORRELATIONS, *seen} - {CORRELATION})]
    rates = {
        (n, r, noise): found
        for n, r in cells
        for noise, found in _cell(values, n, r, margin, config.confidence, pairs).items()
    }
    return Found(
        state.study, state.name, variant, units.title(column), margin, config.confidence, values, others, pairs, rates
    )


def differences(values: stats.Floats, n: int, r: float, pairs: int, rng: np.random.Generator) -> stats.Floats:
    """(n, pairs): differences of two systems of equal mean and spread whose rows correlate at r.

    From rows x drawn of the values and independent rows z drawn likewise: y = r x + sqrt(1 - r^2) z around the mean.
    """
    centred = values - values.mean()
    first, second = (centred[rng.integers(0, len(centred), (n, pairs))] for _ in range(2))
    return (r - 1) * first + np.sqrt(1 - r * r) * second


def _cell(values: stats.Floats, n: int, r: float, margin: Margin, confidence: float, pairs: int) -> dict[float, Rates]:
    """The rates of every rule without and with the noise of training."""
    rng = np.random.default_rng([SEED, n, round(1000 * r)])
    parts = list(_bounds(values, n, r, confidence, pairs, rng))
    mean, lower, upper = (np.concatenate(part) for part in zip(*parts, strict=True))
    noise = rng.normal(0.0, np.sqrt(2.0), pairs)  # the difference of two trainings, in units of one's deviation
    found = {}
    for size in (0.0, TRAINING_NOISE):
        moved = size * noise[:, None] - np.array(DROPS)
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


def headline(found: Found) -> str:
    """The two figures that the defaults promise."""
    return (
        f"gate on n = {SIZE} with training noise: {_share(found.false_fails)} false fails, {_share(found.power)} power at a "
        f"drop of {POWER_AT:g} ({'as promised' if found.kept else 'NOT as promised on these rows'})"
    )


def document(found: Found) -> str:
    """The report."""
    margin, sure = found.margin, f"{100 * found.confidence:g} %"
    names = {
        "gate": f"the default rule, FAIL when the upper bound is below -{margin.fail_margin:g}",
        "paired": "a plain paired test, FAIL when the upper bound is below 0",
        "drop": f"'worse by more than {margin.fail_margin:g}', FAIL when the mean is below -{margin.fail_margin:g}",
    }
    least, most = min(CORRELATIONS), max(CORRELATIONS)
    said = (
        f"Promised for ROUGE-1: at n = {SIZE} with the noise of training, at most {_share(FALSE_FAILS)} false fails and at "
        f"least {_share(POWER)} power at a true drop of {POWER_AT:g} points. On these rows, correlated at {CORRELATION}: "
        f"**{_share(found.false_fails)}** and **{_share(found.power)}**, so the promise is "
        f"{'kept' if found.kept else 'not kept here'}; {_share(found.rate(least, 0.0))} and "
        f"{_share(found.rate(least, POWER_AT))} at {least}, {_share(found.rate(most, 0.0))} and "
        f"{_share(found.rate(most, POWER_AT))} at {most}."
    )
    parts = [
        "# How often the gate is wrong",
        f"{cell(found.title)} of `{found.variant}` in study `{found.study}` ({cell(found.source)}): {len(found.values)} "
        f"dialogues, mean {found.values.mean():.1f}, standard deviation {found.values.std(ddof=1):.1f}. {found.pairs:,} "
        f"simulated pairs a cell, seed {SEED}; a share of 2 % is exact to {100 * np.sqrt(0.02 * 0.98 / found.pairs):.2f} "
        f"points. Bounds are one-sided at {sure}.",
        said,
        f"Each retrained variant is a chance of its own: over five, at least one false fail in up to "
        f"{_share(1 - (1 - found.false_fails) ** 5)} of honest runs.",
        section("Share of pairs that FAIL, by true drop and number of dialogues", bullets(list(_explained(names)))),
        *(
            section(f"{'With' if noise else 'Without'} the noise of training (rows correlated at {CORRELATION})",
                    _table("n", {f"{n:,}": found.rates[n, CORRELATION, noise] for n in SIZES}, tuple(names)), level=3)
            for noise in (TRAINING_NOISE, 0.0)
        ),
        section(f"By correlation of the two systems' rows, n = {SIZE}, with the noise of training",
                _table("r", {f"{r:g}": found.rates[SIZE, r, TRAINING_NOISE] for r in found.compared}, tuple(names)),
                _correlated(found), level=3),
        section(f"Share of pairs that PASS by the gate, lower bound above -{margin.pass_margin:g}",
                "What neither fails nor passes is inconclusive. With the noise of training.",
                _table("n", {f"{n:,}": found.rates[n, CORRELATION, TRAINING_NOISE] for n in SIZES}, ("pass",))),
        section("How", (__doc__ or "").split("\n\n", 1)[1].strip()),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _explained(names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The rules; the first column of every table is a drop of 0, where each FAIL is a false one."""
    for name, words in names.items():
        yield f"`{name}`", words


def _table(label: str, rows: dict[str, Rates], rules: tuple[str, ...]) -> str:
    """One line a rule and row, one column a true drop."""
    made = [[f"`{rule}`", name, *map(_share, rates[rule].tolist())] for rule in rules for name, rates in rows.items()]
    return table(["rule", label, *(f"drop {drop:g}" for drop in DROPS)], made)


def _correlated(found: Found) -> str:
    """What the report's own variants show."""
    if not found.correlations:
        return ""
    shown = ", ".join(f"`{name}` {r:.2f}" for name, r in found.correlations.items())
    most = round(max(found.correlations.values()), 2)
    return (
        f"In this report, the rows of `{found.variant}` correlate with those of {shown}. At the highest, {most:g}, "
        f"{_share(found.rate(most, 0.0))} of honest pairs fail and {_share(found.rate(most, POWER_AT))} of those with a true "
        f"drop of {POWER_AT:g}."
    )


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
