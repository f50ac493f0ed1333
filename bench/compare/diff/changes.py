"""What changed between two states of a study: params, scores, costs, and the rows behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.compare.costs import PLACES, differing, machine_of, of_variant, part_of
from bench.compare.gate.judge import settings
from bench.compare.pairs import Difference, Pair, all_pairs, changed_keys, is_result, measure, on_slice, pair
from bench.compare.snapshot import Snapshot, seeds_of
from bench.core.parameters import ReportConfig
from bench.report.view import ColumnFormat

ABSENT = "absent"


@dataclass(frozen=True)
class Param:
    """One knob that was turned; `absent` where it was not there."""

    key: str
    before: str
    after: str


@dataclass(frozen=True)
class Cost:
    """One cost that differs; `note` says why the two must not be compared, if so."""

    variant: str
    measure: str
    before: float
    after: float
    note: str


@dataclass(frozen=True)
class Row:
    """One row whose primary value changed, with its seed where there are several; no texts where a report has none."""

    id: str
    before: float
    after: float
    old_text: str | None
    new_text: str | None
    seed: str = ""


@dataclass(frozen=True)
class Diff:
    """Everything that changed. Only `changed` variants have scores, costs and rows."""

    study: str
    before: str
    after: str
    primary: str
    confidence: float
    level: float
    units: ColumnFormat
    params: list[Param]
    changed: list[str]
    unchanged: list[str]
    added: list[str]
    removed: list[str]
    scores: list[Difference]
    costs: list[Cost]
    rows: dict[str, list[Row]]
    refused: list[str]
    notes: list[str]
    slices: list[Difference]
    told: Callable[[str], str]  # puts our own words into those for what the rows are


def build(old: Snapshot, new: Snapshot, rows: int = 5, notes: Sequence[str] = ()) -> Diff:
    """Compare two states; `rows` is how many rows a variant is shown with.

    Raises:
        NotComparable: they have no variant in common, or the primary column of none can be compared.
    """
    report = settings(ReportConfig, "report", new.params or old.params)
    common = [name for name in new.entries if name in old.entries]
    pairs, refused = all_pairs(old, new, common)
    if not any(each.column == report.primary for each in pairs):
        pair(old, new, (common or list(old.entries))[0], report.primary)  # says why
    changed = [name for name in common if _changed(old, new, name, pairs)]
    moved = [each for each in pairs if each.changed and each.variant in changed]
    return Diff(
        study=new.study,
        before=old.name,
        after=new.name,
        primary=report.primary,
        confidence=report.confidence,
        level=report.claims,
        units=ColumnFormat(old.columns | new.columns),
        params=list(turned(old.params, new.params)) if old.params and new.params else [],
        changed=changed,
        unchanged=[name for name in common if name not in changed],
        added=[name for name in new.entries if name not in old.entries],
        removed=[name for name in old.entries if name not in new.entries],
        scores=measure(moved, report, old.columns | new.columns),
        costs=[cost for name in changed for cost in _costs(old, new, name)],
        rows={name: found for name in changed if (found := _rows(old, new, name, report.primary, rows))},
        refused=refused,
        notes=[*notes, *_without_params(old, new), *_other_seeds(old, new, changed, report.primary)],
        slices=measure(_on_slices(old, new, changed, report.primary), report, old.columns | new.columns),
        told=new.told,
    )


def _on_slices(old: Snapshot, new: Snapshot, variants: Sequence[str], primary: str) -> list[Pair]:
    """What changed of the results on each slice that the study declares; its own family of tests."""
    found, columns = list[Pair](), old.columns | new.columns
    for name in new.slices:
        pairs, _ = all_pairs(*on_slice(old, new, name), variants)
        found += [
            replace(each, slice=name)
            for each in pairs
            if each.changed and (each.column == primary or is_result(columns.get(each.column)))
        ]
    return found


def turned(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Param]:
    """Yield the params that differ, by dotted key in the order of the newer file, then what it lost."""
    before, after = flat(old), flat(new)
    for key in dict.fromkeys([*after, *before]):
        if before.get(key, ABSENT) != after.get(key, ABSENT):
            yield Param(key, before.get(key, ABSENT), after.get(key, ABSENT))


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Flatten to leaves by dotted key, each as JSON; a list is one leaf, for target_modules changes as a whole."""
    if isinstance(value, dict) and value:
        found: dict[str, str] = {}
        for key, inner in value.items():
            found |= flat(inner, f"{prefix}.{key}" if prefix else str(key))
        return found
    return {prefix: json.dumps(value, ensure_ascii=False, default=str)}


def _changed(old: Snapshot, new: Snapshot, variant: str, pairs: list[Pair]) -> bool:
    """Whether anything about a variant's outputs differs: a value, a column, or a summary where both show them."""
    compared = [each for each in pairs if each.variant == variant]
    texts = [state.texts.get(variant, {}) for state in (old, new)]
    return (
        len(compared) < len({*old.entries[variant], *new.entries[variant]})
        or any(each.changed for each in compared)
        or (all(texts) and texts[0] != texts[1])
    )


def _rows(old: Snapshot, new: Snapshot, variant: str, primary: str, limit: int) -> list[Row]:
    """The rows whose primary value changed most."""
    texts = [state.texts.get(variant, {}) for state in (old, new)]
    return [
        Row(key.id, before, after, texts[0].get(key), texts[1].get(key), key.seed)
        for key, before, after in changed_keys(old, new, variant, primary)[:limit]
    ]


def _costs(old: Snapshot, new: Snapshot, variant: str) -> Iterator[Cost]:
    """The gate's costs where both states have them and they differ."""
    blocks = [of_variant(state, variant) for state in (old, new)]
    for name, stages in PLACES.items():
        for stage in stages:
            before, after = (part_of(block, stage).get(name) for block in blocks)
            if not isinstance(before, int | float) or not isinstance(after, int | float) or before == after:
                continue
            machines = [machine_of(part_of(block, stage or "train"), variant) for block in blocks]
            note = differing(machines[0], machines[1], exact=not stage)
            yield Cost(variant, f"{stage} {name}".strip(), before, after, note)


def _other_seeds(old: Snapshot, new: Snapshot, variants: Sequence[str], column: str) -> Iterator[str]:
    """Variants whose rows cannot be paired one by one: means over trainings can, single trainings cannot."""
    for name in variants:
        before, after = (seeds_of(state.values[name].get(column, {})) for state in (old, new))
        if set(before) != set(after):
            said = [f"seeds {', '.join(some)}" if any(some) else "one training" for some in (before, after)]
            yield f"{name}: {said[0]} before, {said[1]} now; means are compared, rows are shown of a seed that both have"


def _without_params(old: Snapshot, new: Snapshot) -> list[str]:
    bare = dict.fromkeys(state.name for state in (old, new) if not state.params)
    return [f"{', '.join(bare)}: only a report, so its params are not known"] if bare else []
