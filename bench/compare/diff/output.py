"""A diff as Markdown for a pull request, as a table for a terminal, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.compare.diff import words
from bench.compare.diff.changes import Cost, Diff, Row
from bench.compare.pairs import Difference, is_result
from bench.core.terminal import single_line
from bench.report.markdown import cell, section, table
from bench.report.view import NONE_POSSIBLE, not_shown, p_value, rate, side_word, size

SCORES = ("variant", "measure", "before", "now", "change", "p", "reading")
SIDES = "llrrrrl"
COSTS = ("variant", "cost", "before", "now", "ratio")
# What people call the costs, beside the stage that has them.
CALLED = {
    "training_examples_per_second": "training, examples/s",
    "generation_tokens_per_second": "generation, tokens/s",
    "peak_resident_bytes": "peak memory",
    "peak_gpu_bytes": "peak GPU memory",
    "checkpoint_bytes": "stored",
    "trainable_parameters": "trainable parameters",
}
SHOWN_REFUSALS = 5


def markdown(diff: Diff) -> str:
    """Format for a pull request."""
    main = [each for each in diff.scores if _is_main(diff, each)]
    rest = [each for each in diff.scores if not _is_main(diff, each)]
    more = table(SCORES, [_score(diff, each, cell) for each in rest], align=SIDES)
    folded = f"<details><summary>{len(rest)} more measures changed</summary>\n\n{more}\n\n</details>" if more else ""
    params = table(
        ("param", "before", "now"), [[cell(p.key), cell(p.before), cell(p.after)] for p in diff.params], align="lll"
    )
    costs = table(COSTS, [[cell(t) for t in _cost(c)] for c in diff.costs], align="llrrr")
    note = diff.told(
        f"Paired by dialogue, with {100 * diff.confidence:g} % intervals; p by sign flips, corrected by Holm over all results "
        "that changed. Variance over training seeds is not in these intervals."
    )
    scores = table(SCORES, [_score(diff, each, cell) for each in main], align=SIDES)
    parts = [
        f"### {cell(diff.study)}: {cell(diff.before)} → {cell(diff.after)}",
        "  \n".join(cell(text) for text in _said(diff)),
        section("Params that changed", params, level=4),
        section("Scores", scores, folded, note, level=4) if diff.scores else "",
        section("On slices", table(SCORES, [_score(diff, each, cell) for each in diff.slices], align=SIDES), level=4),
        section("Costs", costs, "\n".join(f"- {cell(text)}" for text in _cost_notes(diff)), level=4),
        *(_rows(diff, name) for name in diff.rows),
        section("Not compared", "\n".join(f"- {cell(text)}" for text in _refused(diff)), level=4),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def terminal(diff: Diff) -> str:
    """Format for people at a terminal."""
    from tabulate import tabulate

    def grid(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        return tabulate(rows, headers, tablefmt="simple", disable_numparse=True) if rows else ""

    parts = [
        single_line(f"{diff.study}: {diff.before} -> {diff.after}"),
        "\n".join(single_line(text) for text in _said(diff)),
        grid(("param", "before", "now"), [[single_line(t) for t in (p.key, p.before, p.after)] for p in diff.params]),
        grid(SCORES, [_score(diff, each, single_line) for each in diff.scores]),
        grid(SCORES, [_score(diff, each, single_line) for each in diff.slices]),
        grid(COSTS, [[single_line(t) for t in _cost(c)] for c in diff.costs]),
        "\n".join(single_line(text) for text in _cost_notes(diff)),
    ]
    for name, rows in diff.rows.items():
        lines = [f"{single_line(name)}: rows that changed most ({single_line(diff.units.title(diff.primary))})"]
        for row in rows:
            lines.append("  " + "  ".join(single_line(t) for t in (_named(row), *_values(diff, row))))
            if row.old_text is not None and row.new_text is not None:
                lines += [
                    f"    {mark} {text}"
                    for mark, text in zip("-+", words.terminal(row.old_text, row.new_text), strict=True)
                ]
        parts.append("\n".join(lines))
    parts.append("\n".join(f"not compared: {single_line(text)}" for text in _refused(diff)))
    return "\n\n".join(part for part in parts if part)


def as_json(diff: Diff) -> str:
    """Format everything for machines; values as in metrics.json, a number that does not exist is null."""
    value = {
        "study": diff.study,
        "before": diff.before,
        "after": diff.after,
        "primary": diff.primary,
        "changed": diff.changed,
        "unchanged": diff.unchanged,
        "added": diff.added,
        "removed": diff.removed,
        "params": [asdict(param) for param in diff.params],
        "scores": [_facts(each) for each in diff.scores],
        "slices": [_facts(each) | {"slice": each.pair.slice} for each in diff.slices],
        "costs": [asdict(cost) for cost in diff.costs],
        "rows": {name: [_row_facts(row) for row in rows] for name, rows in diff.rows.items()},
        "not_compared": diff.refused,
        "notes": diff.notes,
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _facts(each: Difference) -> dict[str, Any]:
    found = {
        "variant": each.pair.variant,
        "column": each.pair.column,
        "before": each.pair.before,
        "after": each.pair.after,
        "difference": each.value,
        "low": each.low,
        "high": each.high,
        "p": each.p,
        "p_holm": each.p_holm,
        "p_least": each.p_least,
        "smallest_detectable": each.smallest_detectable,
        "n": each.n,
        "rows": each.pair.rows,
        "rows_changed": each.pair.changed,
    }
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in found.items()
    }


def _row_facts(row: Row) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if key != "seed" or value}


def _named(row: Row) -> str:
    return f"{row.id}, seed {row.seed}" if row.seed else row.id


def _said(diff: Diff) -> list[str]:
    """What happened, a line each."""
    total = len(diff.changed) + len(diff.unchanged)
    said = [
        f"{len(diff.changed)} of {total} variants changed" + (f": {', '.join(diff.changed)}" if diff.changed else "")
    ]
    for word, names in (("unchanged", diff.unchanged), ("added", diff.added), ("removed", diff.removed)):
        said += [f"{word}: {', '.join(names)}"] if names else []
    return said + diff.notes


def _is_main(diff: Diff, each: Difference) -> bool:
    """Tell whether a column stands above the fold: the primary one, and those of quality and safety."""
    return each.pair.column == diff.primary or is_result(diff.units.columns.get(each.pair.column))


def _reading(diff: Diff, each: Difference) -> str:
    """What the test of a difference allows to claim."""
    units, column = diff.units, each.pair.column
    shown = [value for value in (each.value, each.low, each.high) if not math.isnan(value)]
    if not any(float(units.difference(column, value)) for value in shown):
        return "too little to show"
    if each.p_holm <= diff.level and each.value:
        known = units.columns.get(column)
        return side_word(1 if each.value > 0 else -1, known.higher_is_better if known else None)
    if each.p_least > diff.level:
        return diff.told(f"{NONE_POSSIBLE}: {np.count_nonzero(each.pair.gaps)} of {each.n} dialogues differ")
    return not_shown(units.number(column, each.smallest_detectable))


def _score(diff: Diff, each: Difference, safe: Any) -> list[str]:
    """One line of the table of scores; `safe` makes foreign text harmless."""
    units, column = diff.units, each.pair.column
    return [
        safe(each.pair.variant),
        safe(units.title(column) + (f" on {each.pair.slice}" if each.pair.slice else "")),
        units.number(column, each.pair.before),
        units.number(column, each.pair.after),
        f"{units.difference(column, each.value)} {units.interval(column, each.low, each.high)}".rstrip(),
        p_value(each.p_holm),
        _reading(diff, each),
    ]


def _cost(cost: Cost) -> list[str]:
    """One line of the table of costs; no ratio of two machines."""
    shown = size if cost.measure.endswith("_bytes") else rate
    ratio = f"{cost.after / cost.before:.3g}" if cost.before and not cost.note else "–"
    return [cost.variant, _called(cost), shown(cost.before), shown(cost.after), ratio]


def _called(cost: Cost) -> str:
    stage, _, name = cost.measure.rpartition(" ")
    return f"{CALLED[name]} ({stage})" if name.startswith("peak") else CALLED[name]


def _cost_notes(diff: Diff) -> list[str]:
    """Why costs have no ratio, one line a reason, and what speed and memory are worth."""
    reasons: dict[str, list[str]] = {}
    for cost in diff.costs:
        reasons.setdefault(cost.note, []).append(_called(cost))
    said = [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items() if reason]
    measured = any(" " in cost.measure and not cost.note for cost in diff.costs)
    return said + (["speed and memory were measured once; other work on the machine moves them"] if measured else [])


def _rows(diff: Diff, name: str) -> str:
    """The rows of a variant that changed most, old and new summary side by side."""
    rows, made = diff.rows[name], []
    shown = all(row.old_text is not None and row.new_text is not None for row in rows)
    for row in rows:
        texts = words.markdown(row.old_text or "", row.new_text or "") if shown else ()
        made.append([cell(_named(row)), *_values(diff, row), *texts])
    headers = ["example", "before", "now", "change", *(("summary before", "summary now") if shown else ())]
    sides = "lrrrll" if shown else "lrrr"
    reason = "" if shown else "The reports hold no summaries (`report.texts`), so only the values are shown."
    title = f"{cell(name)}: rows whose {cell(diff.units.title(diff.primary))} changed most"
    return section(title, table(headers, made, align=sides), reason, level=4)


def _values(diff: Diff, row: Row) -> list[str]:
    units, key = diff.units, diff.primary
    return [units.number(key, row.before), units.number(key, row.after), units.difference(key, row.after - row.before)]


def _refused(diff: Diff) -> list[str]:
    """The first sentences, and how many more there are."""
    more = len(diff.refused) - SHOWN_REFUSALS
    return diff.refused[:SHOWN_REFUSALS] + ([f"and {more} more columns"] if more > 0 else [])
