"""The tables of the report, each from the numbers of metrics.json and costs.json."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from bench.metrics import Column
from bench.report.markdown import cell, code, table
from bench.report.view import NONE, View, count, fixed, marked, p_value, rate, relative, seconds, share, size, titled

# The rates of the toxicity table and the heading each gets.
DETAILS = (
    ("value", "mean"),
    ("std", "sd"),
    ("p95", "p95"),
    ("max", "max"),
    ("rate_50", "above .5"),
    ("rate_10", "above .1"),
)


def front_table(view: View) -> str:
    """Tabulate the five numbers of each system that decide: quality, toxicity by judge and reward, KL to the start, share."""
    keys = front_keys(view)
    rows = [
        [cell(system), *(view.result(system, key) for key in keys), _trainable(view, system)]
        for system in view.study.systems
    ]
    return table(["", *(cell(front_title(view.study.columns[key])) for key in keys), "trained"], rows)


def front_title(column: Column) -> str:
    """Return a column's title in the front table, not escaped: of KL without its finer points, which the details have."""
    return f"KL to {column.reference} ({column.unit})" if column.role == "distance" else titled(column)


def front_keys(view: View) -> list[str]:
    """List the columns of the front table that the study has: the primary, judge's and reward's toxicity, KL to the start."""
    study = view.study
    safety = sorted(study.keys("safety"), key=lambda key: key != study.judge_key)[:2]
    to_start = [key for key in study.keys("distance", detail=False) if study.columns[key].reference == "start"][:1]
    return list(dict.fromkeys([view.primary, *safety, *to_start]))


def results_table(view: View) -> str:
    """Tabulate quality, toxicity and KL to the base of every system: what the front table leaves out too."""
    study = view.study
    to_base = [key for key in study.keys("distance", detail=False) if study.columns[key].reference == "base"]
    keys = list(dict.fromkeys([view.primary, *study.keys("quality"), *study.keys("safety"), *to_base[:1]]))
    rows = [[cell(system), *(view.result(system, key) for key in keys)] for system in study.systems]
    return table(["", *map(view.heading, keys)], rows)


def _trainable(view: View, system: str) -> str:
    known = view.costs["variants"].get(system)
    return NONE if known is None else share(known.get("trainable_share"))


def change_table(view: View, changes: Sequence[tuple[str, str]]) -> str:
    """Tabulate (variant, column) against the variant's start: before, after, difference, and what may be said of it."""
    known = [(variant, key, change) for variant, key in changes if (change := view.change(variant, key))]
    rows = []
    for variant, key, change in known:
        start = change["against"]
        row = [
            f"{cell(variant)} ← {cell(start)}",
            view.heading(key),
            view.number(key, view.entry(start, key)["value"]),
            view.number(key, view.entry(variant, key)["value"]),
            view.bounded(key, change, "difference", sign=True) + relative(view, change),
        ]
        rows.append([*row, p_value(change["p_holm"]), marked(view, key, change)])
    return table(["variant ← start", "measure", "before", "after", "difference", "p (Holm)", "reading"], rows, 2)


def slice_change_table(view: View, keys: Collection[str] | None = None) -> str:
    """Tabulate what alignment changed on each declared slice, tested as one family: these columns, or all that were tested."""
    headers = [
        "slice",
        "variant ← start",
        "measure",
        "dialogues",
        "before",
        "after",
        "difference",
        "p (Holm)",
        "reading",
    ]
    rows = [
        [
            cell(tag),
            f"{cell(variant)} ← {cell(change['against'])}",
            view.heading(key),
            count(change["n"]),
            view.number(key, change["before"]),
            view.number(key, change["after"]),
            view.bounded(key, change, "difference", sign=True) + relative(view, change),
            p_value(change["p_holm"]),
            marked(view, key, change),
        ]
        for tag, variants in view.metrics.get("slices", {}).items()
        for variant, changes in variants.items()
        for key, change in changes.items()
        if keys is None or key in keys
    ]
    return table(headers, rows, text_columns=3)


def elsewhere_tables(view: View) -> list[str]:
    """Tabulate each variant on other datasets, beside what it reaches on its own; prompts without references apart."""
    found = view.metrics.get("evaluate_on", {})
    bare = {name: held for name, held in found.items() if not any(view.primary in entries for entries in held.values())}
    groups = [{name: held for name, held in found.items() if name not in bare}, bare]
    return [_elsewhere(view, group, group is not bare) for group in groups if group]


def _elsewhere(view: View, found: dict[str, Any], beside_own: bool) -> str:
    keys = [key for key in view.study.columns if any(key in e for systems in found.values() for e in systems.values())]
    rows = []
    for dataset, systems in found.items():
        for variant, entries in systems.items():
            n = max(entry["n"] for entry in entries.values())
            here = [view.result(variant, view.primary)] if beside_own else []
            values = (view.bounded(key, entries.get(key, {})) for key in keys)
            rows.append([cell(dataset), cell(variant), count(n), *here, *values])
    own = [f"{view.heading(view.primary)} on {cell(view.study.params.data.dataset)}"] if beside_own else []
    return table(["dataset", "", "dialogues", *own, *map(view.heading, keys)], rows, text_columns=2)


def online_table(view: View) -> str:
    """Tabulate how each variant that sampled while it learnt has learnt: means over its first and last quarter."""
    headers = [
        "",
        "iterations",
        "reward, first quarter",
        "last",
        "KL to start, last (nats)",
        "target",
        "coefficient at the end",
    ]
    headers += ["tokens clipped (%)", "most in an iteration (%)"]
    rows = []
    for variant, curve in view.study.curves.items():
        if not curve or "kl_coefficient" not in curve[-1]:
            continue
        quarter = max(1, len(curve) // 4)
        first, last = (
            {key: _mean(part, key) for key in ("reward", "kl")} for part in (curve[:quarter], curve[-quarter:])
        )
        target = getattr(view.study.params.variants[variant], "kl_target", None)
        clipped = [row["clip_fraction"] for row in curve if "clip_fraction" in row]
        shares = [_mean(curve, "clip_fraction"), max(clipped)] if clipped else [None, None]
        rows.append(
            [
                cell(variant),
                count(len(curve)),
                fixed(first["reward"], 3),
                fixed(last["reward"], 3),
                fixed(last["kl"], 2),
                NONE if target is None else f"{target:g}",
                fixed(curve[-1]["kl_coefficient"], 3),
                *(NONE if one is None else fixed(100 * one, 2) for one in shares),
            ]
        )
    return table(headers, rows)


def _mean(rows: Sequence[dict[str, float]], key: str) -> float:
    return sum(row[key] for row in rows) / len(rows)


def toxicity_table(view: View) -> str:
    """Tabulate every system by every toxicity column: the distribution beside the mean."""
    rows = []
    for key in view.study.keys("safety", sampled=None):
        for system in view.study.systems:
            entry = view.entry(system, key)
            if entry:
                rows.append(
                    [view.heading(key), cell(system), *(_detail(view, key, entry, field) for field, _ in DETAILS)]
                )
    first = next(iter(view.study.params.variants))
    for key, column in view.study.columns.items():
        if column.role == "safety" and column.of_source and (entry := view.entry(first, key)):
            rows.append([view.heading(key), "*the input*", *(_detail(view, key, entry, field) for field, _ in DETAILS)])
    return table(["measure", "", *(title for _, title in DETAILS)], rows, text_columns=2)


def _detail(view: View, key: str, entry: dict[str, Any], field: str) -> str:
    return view.bounded(key, entry, field)


def slice_table(view: View) -> str:
    """Tabulate quality and toxicity on each slice of the data."""
    keys = [view.primary, *view.study.keys("safety")]
    rows = []
    for tag, systems in view.slices.items():
        for system, entries in systems.items():
            n = max(entry["n"] for entry in entries.values())
            rows.append([cell(tag), cell(system), count(n), *(view.bounded(key, entries.get(key, {})) for key in keys)])
    return table(["slice", "", "dialogues", *map(view.heading, keys)], rows, text_columns=2)


def by_measure(view: View, keys: Sequence[str]) -> str:
    """Tabulate one row a column, one column a system; columns that say the same of every system are named below it."""
    systems = [system for system in view.study.systems if any(view.entry(system, key) for key in keys)]
    entries = {key: [view.entry(system, key) for system in systems] for key in keys}
    known = {key: [entry for entry in some if entry] for key, some in entries.items()}
    same = {key for key, some in known.items() if len(some) > 1 and len({entry["value"] for entry in some}) == 1}
    rows = [
        [view.heading(key), *(view.bounded(key, entry) for entry in some)]
        for key, some in entries.items()
        if key not in same
    ]
    constant = [f"{view.heading(key)} {view.bounded(key, known[key][0])}" for key in keys if key in same]
    note = f"The same for every system that has it: {'; '.join(constant)}." if constant else ""
    return "\n\n".join(part for part in (table(["", *map(cell, systems)], rows), note) if part)


def other_keys(view: View) -> list[str]:
    """List the columns that no other table shows: shape and cost, of whatever metric."""
    return [key for key in view.study.keys("shape", "cost", sampled=None) if key != view.primary]


def cost_table(view: View) -> str:
    """Tabulate what each variant took to train and takes to run."""
    headers = [
        "",
        "training",
        "examples/s",
        "tokens/s",
        "peak memory",
        "peak GPU memory",
        "trainable",
        "parameters",
        "stored",
        "generation, summaries/s",
        "generation, tokens/s",
    ]
    rows = []
    for variant, facts in view.costs["variants"].items():
        train, generate = facts["train"], facts["generate"]
        rows.append(
            [
                cell(variant),
                seconds(train.get("training_seconds")),
                rate(train.get("training_examples_per_second")),
                rate(train.get("training_tokens_per_second")),
                size(train.get("peak_resident_bytes")),
                size(train.get("peak_gpu_bytes")),
                count(facts.get("trainable_parameters")),
                count(facts.get("total_parameters")),
                size(facts.get("checkpoint_bytes")),
                rate(generate.get("generation_examples_per_second")),
                rate(generate.get("generation_tokens_per_second")),
            ]
        )
    kept = [k for k in range(len(headers)) if k == 0 or any(row[k] != NONE for row in rows)]
    return table([headers[k] for k in kept], [[row[k] for k in kept] for row in rows])


def time_table(view: View) -> str:
    """Tabulate where the time of a run went, the longest stage first."""
    stages = sorted(view.costs["stages"].items(), key=lambda item: (-item[1], item[0]))
    total = view.costs["total_wall_seconds"]
    rows = [[cell(place), seconds(spent), share(spent / total if total else None)] for place, spent in stages]
    rows.append(["**all stages**", f"**{seconds(total)}**", "**100 %**"] if total else ["**all stages**", NONE, NONE])
    return table(["stage", "wall time", "share"], rows) if stages else ""


def signature_list(view: View) -> str:
    """List each signature once, under the systems it stands beside; what several share is said once for all of them."""
    users: dict[str, list[str]] = {}
    for system in view.study.systems:
        for key in view.study.systems[system].columns:
            users.setdefault(view.entry(system, key)["signature"], []).append(system)
    grouped: dict[tuple[str, ...], list[str]] = {}
    for signature, systems in users.items():
        grouped.setdefault(tuple(systems), []).append(signature)
    everywhere = _shared_parts(list(users))
    parts = [f"All: {code('|'.join(everywhere))}"] if everywhere else []
    for names, signatures in grouped.items():
        own = [part for part in _shared_parts(signatures) if part not in everywhere] if len(signatures) > 1 else []
        left = ["|".join(p for p in s.split("|") if p not in {*everywhere, *own}) for s in signatures]
        shared = f", {code('|'.join(own))}" if own else ""
        parts.append(f"**{cell(', '.join(names))}**{shared}:\n\n" + "\n".join(f"- {code(s)}" for s in left))
    return "\n\n".join(parts)


def _shared_parts(signatures: Sequence[str]) -> list[str]:
    """The parts after the name that all of them have, in the order of the first."""
    if not signatures:
        return []
    sets = [set(signature.split("|")[1:]) for signature in signatures]
    return [part for part in signatures[0].split("|")[1:] if all(part in each for each in sets)]


def reward_key(view: View) -> str | None:
    """Return the greedy column that holds raw rewards; a toxicity column where no metric reports logits."""
    study = view.study
    followed_keys = [key for variant in study.aligned if (key := study.followed_key(variant))]
    return next(iter([*study.keys("reward"), *followed_keys]), None)
