"""What changed between two states: each variant and column, paired row by row, dialogues as clusters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench import stats
from bench.compare.snapshot import Key, Snapshot, over_seeds, rows_of
from bench.compare.sources import NotComparable
from bench.core.parameters import ReportConfig
from bench.metrics import WRITING, Column
from bench.report.supports import support_of_differences


@dataclass(frozen=True, eq=False)
class Pair:
    """One column of one variant in both states: `gaps` (n,) new - old by dialogue, `changed` the rows that differ.

    `support` says between which numbers a gap can lie, where that is known. `slice` names the dialogues, if not all.
    """

    variant: str
    column: str
    before: float
    after: float
    gaps: stats.Floats
    rows: int
    changed: int
    support: stats.Support | None = None
    slice: str = ""

    @property
    def measure(self) -> str:
        """What it is called: the column, and `@` its slice."""
        return f"{self.column}@{self.slice}" if self.slice else self.column


@dataclass(frozen=True)
class Difference:
    """The change of a pair with its interval; p by sign flips, Holm's over its part of the table.

    `p_least` is what p_holm would be if all dialogues that differ agreed.
    """

    pair: Pair
    value: float
    low: float
    high: float
    p: float
    p_holm: float
    p_least: float
    smallest_detectable: float

    @property
    def n(self) -> int:
        """How many dialogues are behind it."""
        return len(self.pair.gaps)


def fields(signature: str) -> dict[str, str]:
    """Split a signature into parts by name: `stem:porter` is `stem`; the first two are the metric and its implementation."""
    found: dict[str, str] = {}
    for position, part in enumerate(signature.split("|")):
        name, colon, value = part.partition(":")
        model, at, digest = part.partition("@")
        if position < 2:
            found["metric" if position == 0 else "implementation"] = part
        elif at and not colon:
            found[model] = digest
        else:
            found[name if colon else f"option {position + 1}"] = value if colon else part
    return found


def check_signatures(old: str, new: str, about: str) -> None:
    """Refuse two signatures whose numbers were measured differently, naming the field; how a system writes may differ.

    Raises:
        NotComparable: they differ.
    """
    if old == new:
        return
    before, after = fields(old), fields(new)
    for name in dict.fromkeys([*before, *after]):
        if name not in WRITING and before.get(name) != after.get(name):
            said = [repr(each[name]) if name in each else "absent" for each in (before, after)]
            raise NotComparable(
                f"{about}: signature field `{name}` differs, {said[0]} before and {said[1]} now; such numbers are never "
                "compared, score both states alike."
            )
    if not any(name in WRITING for name in before | after):
        raise NotComparable(f"{about}: the signatures differ, '{old}' before and '{new}' now; score both states alike.")


def rewritten(old: Snapshot, new: Snapshot, variants: Iterable[str], column: str) -> list[str]:
    """Say of which variants the texts were written otherwise, a line a setting: it is part of what is compared."""
    found: dict[str, list[str]] = {}
    for variant in variants:
        entries = [state.entries[variant].get(column) for state in (old, new)]
        before, after = ({} if entry is None else fields(entry["signature"]) for entry in entries)
        for name in WRITING:
            if before.get(name) != after.get(name):
                said = f"`{name}` {before.get(name, 'absent')} before, {after.get(name, 'absent')} now"
                found.setdefault(said, []).append(variant)
    return [f"written otherwise: {said} ({', '.join(names)})" for said, names in found.items()]


def pair(old: Snapshot, new: Snapshot, variant: str, column: str) -> Pair:
    """Pair one column of one variant.

    Raises:
        NotComparable: it is missing in a state, or signatures, n, rows or dialogues differ.
    """
    about = f"{column} of '{variant}'"
    for state in (old, new):
        if variant not in state.entries:
            raise NotComparable(
                f"variant '{variant}' is not in {state.source.where(state.study, 'metrics.json')}; run `dvc repro` there."
            )
        if column not in state.entries[variant]:
            raise NotComparable(
                f"{about} is not in {state.source.where(state.study, 'metrics.json')}; run `dvc repro` there."
            )
    before, after = (state.entries[variant][column] for state in (old, new))
    check_signatures(before["signature"], after["signature"], about)
    if before["n"] != after["n"]:
        raise NotComparable(
            f"{about}: n differs, {before['n']} dialogues before and {after['n']} now; score the same ones."
        )
    olds, news = (state.values[variant][column] for state in (old, new))
    held, now = (over_seeds(values).keys() for values in (olds, news))
    odd = min(held ^ now, default=None)
    if odd is not None:
        raise NotComparable(
            f"{about}: row '{odd.id}' ({odd.output} {odd.draw}) is only in {(old if odd in held else new).name}; score the "
            "same examples."
        )
    moved = next((key.id for key in olds if old.dialogues[key.id] != new.dialogues[key.id]), None)
    if moved is not None:
        raise NotComparable(f"{about}: row '{moved}' belongs to another dialogue now; score the same examples.")
    means = [stats.cluster_means(rows_of(some, state.dialogues)) for some, state in ((olds, old), (news, new))]
    rows, changed = _count(olds, news)
    # Means of equal rows may differ in their last bits when a file is in another order.
    gaps = means[1] - means[0] if changed else np.zeros(len(means[0]))
    meaning = (old.columns | new.columns).get(column)
    support = support_of_differences(meaning, means, gaps) if meaning else None
    return Pair(variant, column, float(means[0].mean()), float(means[1].mean()), gaps, rows, changed, support)


def _count(olds: dict[Key, float], news: dict[Key, float]) -> tuple[int, int]:
    """How many rows there are and how many differ; where the seeds do, how many means over them, to the digits of a file."""
    if olds.keys() == news.keys():
        return len(olds), sum(olds[key] != news[key] for key in olds)
    before, after = (over_seeds(values) for values in (olds, news))
    return len(before), sum(not math.isclose(before[key], after[key], rel_tol=1e-5) for key in before)


def is_result(column: Column | None) -> bool:
    """Tell whether a column stands above the fold of a comparison: greedy quality and safety."""
    return column is not None and column.role in ("quality", "safety") and not column.sampled and not column.of_source


def measure(pairs: Sequence[Pair], report: ReportConfig, columns: Mapping[str, Column]) -> list[Difference]:
    """Compute interval, test and smallest detectable difference of every pair; pairs over as many dialogues share draws."""
    bounds: dict[int, tuple[float, float]] = {}
    for n in sorted({len(each.gaps) for each in pairs}):
        places = [i for i, each in enumerate(pairs) if len(each.gaps) == n]
        gaps, supports = np.stack([pairs[i].gaps for i in places], axis=1), [pairs[i].support for i in places]
        low, high = stats.mean_intervals(gaps, supports, report.confidence, report.resamples, report.seed)
        bounds |= {i: (float(low[k]), float(high[k])) for k, i in enumerate(places)}
    p = stats.sign_flips([each.gaps for each in pairs], report.resamples, report.seed)
    # A family is what stands together, results or the rest; what is unchanged claims nothing.
    families = [
        each.column == report.primary or is_result(columns.get(each.column)) if each.changed else None for each in pairs
    ]
    adjusted = stats.holm_within(p, families)
    least = [float(stats.smallest_p(each.gaps, report.resamples)[0]) for each in pairs]
    attainable = stats.attainable(p, least, families)
    return [
        Difference(
            each,
            float(each.gaps.mean()),
            *bounds[i],
            p[i],
            adjusted[i],
            attainable[i],
            stats.smallest_detectable(each.gaps),
        )
        for i, each in enumerate(pairs)
    ]


def on_slice(old: Snapshot, new: Snapshot, name: str) -> tuple[Snapshot, Snapshot]:
    """Return both states on the dialogues of a slice, which the newer one knows.

    Raises:
        NotComparable: it does not.
    """
    if name not in new.slices:
        known = ", ".join(new.slices) or "none"
        declared = name in ((new.params.get("report") or {}).get("slices") or [])
        fix = "no tag or level divides the test dialogues so: correct it, or judge no slice by that name"
        fix = fix if declared else "name it in params.yaml, report.slices, and run `dvc repro`"
        raise NotComparable(f"the report of {new.name} has no slice '{name}' (its slices: {known}); {fix}.")
    return old.on(new.slices[name]), new.on(new.slices[name])


def all_pairs(old: Snapshot, new: Snapshot, variants: Iterable[str]) -> tuple[list[Pair], list[str]]:
    """Pair every column that either state has of the variants; one sentence for each that cannot be compared."""
    pairs, refused = [], []
    for variant in variants:
        for column in dict.fromkeys([*old.entries[variant], *new.entries[variant]]):
            try:
                pairs.append(pair(old, new, variant, column))
            except NotComparable as error:
                refused.append(str(error))
    return pairs, refused


def changed_keys(old: Snapshot, new: Snapshot, variant: str, column: str) -> list[tuple[Key, float, float]]:
    """List (row, old value, new value) of greedy rows, those that changed most first; ties in the order of their names."""
    olds, news = (state.values[variant].get(column, {}) for state in (old, new))
    both = [(key, olds[key], news[key]) for key in olds if key in news and olds[key] != news[key]]
    return sorted(both, key=lambda row: (-abs(row[2] - row[1]), row[0]))
