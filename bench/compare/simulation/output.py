"""The page about how often the gate is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.compare.simulation import characteristics
from bench.compare.simulation.characteristics import (
    CORRELATION,
    CORRELATIONS,
    DROPS,
    FALSE_FAILS,
    POWER,
    POWER_AT,
    SEED,
    SEED_SD,
    SIZE,
    SIZES,
    TRAININGS,
    Found,
    Rates,
    likest,
)
from bench.report.markdown import bullets, cell, section, table


def headline(found: Found) -> str:
    """State the two figures that the defaults promise."""
    return (
        f"gate on n = {SIZE} with seed variance: {_share(found.false_fails)} false fails, {_share(found.power)} power at a "
        f"drop of {POWER_AT:g} ({'as promised' if found.kept else 'NOT as promised on these rows'})"
    )


def document(found: Found) -> str:
    """Write the report."""
    margin, sure = found.margin, f"{100 * found.confidence:g} %"
    names = {
        "gate": f"the default rule, FAIL when the upper bound is below -{margin.fail_margin:g}",
        "paired": "a plain paired test, FAIL when the upper bound is below 0",
        "drop": f"'worse by more than {margin.fail_margin:g}', FAIL when the mean is below -{margin.fail_margin:g}",
    }
    least, most = min(CORRELATIONS), max(CORRELATIONS)
    said = (
        f"Promised for ROUGE-1: at n = {SIZE} with seed variance, at most {_share(FALSE_FAILS)} false fails and at "
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
            section(
                f"{'With' if seed_sd else 'Without'} seed variance (rows correlated at {CORRELATION})",
                _table("n", {f"{n:,}": found.rates[n, CORRELATION, seed_sd] for n in SIZES}, tuple(names)),
                level=3,
            )
            for seed_sd in (SEED_SD, 0.0)
        ),
        section(
            f"By correlation of the two systems' rows, n = {SIZE}, with seed variance",
            _table("r", {f"{r:g}": found.rates[SIZE, r, SEED_SD] for r in found.compared}, tuple(names)),
            _correlated(found),
            level=3,
        ),
        section(
            f"Share of pairs that PASS by the gate, lower bound above -{margin.pass_margin:g}",
            "What neither fails nor passes is inconclusive. With seed variance.",
            _table("n", {f"{n:,}": found.rates[n, CORRELATION, SEED_SD] for n in SIZES}, ("pass",)),
        ),
        section("Every gated metric", *_every(found)),
        section("How", characteristics.METHOD.strip()),
    ]
    return "\n\n".join(parts) + "\n"


def _explained(names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The rules; the first column of every table is a drop of 0, where each FAIL is a false one."""
    for name, words in names.items():
        yield f"`{name}`", words


def _table(label: str, rows: dict[str, Rates], rules: tuple[str, ...]) -> str:
    """One line a rule and row, one column a true drop."""
    made = [[f"`{rule}`", name, *map(_share, rates[rule].tolist())] for rule in rules for name, rates in rows.items()]
    return table(["rule", label, *(f"drop {drop:g}" for drop in DROPS)], made)


def _every(found: Found) -> Iterator[str]:
    """What training again does to each gated column, and what the gate makes of it."""
    known = [(each, each.known) for each in found.judged if each.known]
    shown = [
        [cell(each.title), cell(name), f"{each.factor * sd:.2f}"]
        for each, seed_sd in known
        for name, sd in [*seed_sd.by_variant.items(), ("all (root mean square)", seed_sd.pooled)]
    ]
    yield table(["metric", "variant", "sd of training"], shown, text_columns=2)
    if known:
        sources = dict.fromkeys(seed_sd.source for _, seed_sd in known)
        yield (
            f"Measured on {cell('; '.join(sources))}. What the choice of dialogues adds is taken off. What is left is the "
            "noise of all that the seeds changed, so of training at most, and rough where trainings are few."
        )
    unknown = [cell(each.title) for each in found.judged if not each.known]
    if unknown:
        yield f"Not measured: {', '.join(unknown)}; give variants `seeds`, or several runs with `--runs`."
    yield (
        f"Share of pairs that FAIL at n = {SIZE}, rows correlated at {CORRELATION}, by the true loss in the metric's own "
        f"unit. With {TRAININGS} trainings a side, they measure the seed_sd, and the bounds are widened by it."
    )
    cells = [(each, *place, rates) for each in found.judged for place, rates in sorted(each.rates.items())]
    rows = [
        [cell(each.title), f"{each.margin.fail_margin:g}", f"{seed_sd:g}", str(trainings), *map(_share, rates.tolist())]
        for each, seed_sd, trainings, rates in cells
    ]
    yield table(["metric", "fail margin", "noise", "trainings a side", *(f"loss {drop:g}" for drop in DROPS)], rows)
    yield "\n".join(
        f"- {cell(each.title)}, seed_sd {seed_sd:g}: {_share(float(rates[0]))} of honest pairs of single trainings fail; a fail "
        f"margin of {each.needed[seed_sd]:.1f} would keep that at {_share(FALSE_FAILS)}, and {TRAININGS} trainings a side at "
        f"{_share(float(each.rates[seed_sd, TRAININGS][0]))}."
        for each, seed_sd, trainings, rates in cells
        if trainings == 1 and rates[0] > FALSE_FAILS
    )


def _correlated(found: Found) -> str:
    """What the report's own variants show."""
    if not found.correlations:
        return ""
    shown = ", ".join(f"`{name}` {r:.2f}" for name, r in found.correlations.items())
    most = likest(found.correlations)
    return (
        f"In this report, the rows of `{found.variant}` correlate with those of {shown}. At the highest, {most:g}, "
        f"{_share(found.rate(most, 0.0))} of honest pairs fail and {_share(found.rate(most, POWER_AT))} of those with a true "
        f"drop of {POWER_AT:g}."
    )


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
