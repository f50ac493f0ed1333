"""The page about how often the gate is wrong."""

from __future__ import annotations

import math

from bench.compare.simulation import characteristics
from bench.compare.simulation.characteristics import FALSE_FAILS, LOSSES, RUNS, SEED, SEEDS, Found
from bench.report.markdown import cell, section, table
from bench.report.view import share

HOW = {
    "gate.training_sd": f"`gate.training_sd`, from {RUNS} runs; one training a side",
    "seeds": f"`seeds`, {SEEDS} a side",
}


def headline(found: Found) -> str:
    """State what the page promises."""
    return (
        f"a false FAIL in at most {share(found.false_fails)} of honest studies "
        f"({'as promised' if found.kept else f'NOT as promised on these rows, at most {share(FALSE_FAILS, 0)}'})"
    )


def document(found: Found) -> str:
    """Write the report."""
    names = list(dict.fromkeys(each.variant for each in found.cells))
    titles = dict.fromkeys((each.column, each.title) for each in found.cells)
    margins = "; ".join(
        f"{cell(title)}: FAIL beyond a loss of {margin.fail_margin:g}, PASS within {margin.pass_margin:g}"
        for column, title in titles
        if (margin := next(each.margin for each in found.cells if each.column == column))
    )
    exact = 100 * math.sqrt(FALSE_FAILS * (1 - FALSE_FAILS) / found.studies)
    about = (
        f"Study `{found.study}` ({cell(found.source)}): the variants {', '.join(f'`{cell(name)}`' for name in names)} "
        f"trained again, {len(found.cells)} judged cells, {len(found.cells[0].values)} dialogues to draw from. "
        f"{margins}. {found.studies:,} simulated studies a line, seed {SEED}; a share of {share(FALSE_FAILS, 0)} is exact "
        f"to {exact:.1f} points. The level is {share(1 - found.confidence, 0)} for the whole study."
    )
    first = found.cells[0]
    parts = [
        "# How often the gate is wrong",
        f"{headline(found).capitalize()}.",
        about,
        section(
            "A whole study",
            f"By what training again moves {cell(first.title)} (sd, in points); the power is that of one variant's "
            f"{cell(first.title)}.",
            table(
                ["n", "sd", "known by", "false FAIL", "honest cells that PASS", *_lost()],
                [
                    [str(n), str(sd), HOW[how], share(rates.false_fails), share(rates.passes)]
                    + [share(float(power)) for power in rates.power[first.column]]
                    for (n, sd, how), rates in found.rates.items()
                ],
            ),
        ),
        *(_further(found, column, title) for column, title in list(titles)[1:]),
        section("What training again moves", *_spreads(found)),
        section("How", characteristics.METHOD),
    ]
    return "\n\n".join(parts) + "\n"


def _lost() -> list[str]:
    return [f"loses {loss:g}" for loss in LOSSES]


def _further(found: Found, column: str, title: str) -> str:
    """The power of another column, at the sd that goes with the first column's."""
    rows = [
        [
            str(n),
            sd if isinstance(sd, str) else f"{sd * found.ratios[column]:.2g}",
            HOW[how],
            *(share(float(p)) for p in rates.power[column]),
        ]
        for (n, sd, how), rates in found.rates.items()
    ]
    return section(f"The same studies: power of {cell(title)}", table(["n", "sd", "known by", *_lost()], rows))


def _spreads(found: Found) -> list[str]:
    """What was measured of each column."""
    rows, sources = [], dict[str, None]()
    for column, (spread, factor) in found.spreads.items():
        if spread is None:
            continue
        title = next(each.title for each in found.cells if each.column == column)
        sources[spread.source] = None
        named = [*spread.by_variant.items(), (f"all, with the dialogues' part (df {spread.df})", spread.stated)]
        rows += [[cell(title), cell(name), f"{factor * sd:.2f}"] for name, sd in named]
    if not rows:
        return ["Not measured: give variants `seeds`, or several runs with `--runs`."]
    return [
        table(["metric", "variant", "sd of training"], rows, text_columns=2),
        f"Measured on {cell('; '.join(sources))}. By variant, what the choice of dialogues adds is taken off. What is "
        "left is the noise of all that the seeds changed, so of training at most. The last, which keeps that part and so has "
        "the degrees of freedom of its runs, is what `gate.training_sd` gets.",
    ]
