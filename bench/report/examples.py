"""Side by side: single dialogues with what each variant made of them, and rewards before and after alignment."""

from __future__ import annotations

import random

from bench import stats
from bench.report.markdown import cell, joined, line, section, table
from bench.report.study import Study
from bench.report.tables import reward_key
from bench.report.view import View

REWARDED = 17  # as many dialogues as the thesis's Table 4.2 lists

RULE = (
    "Chosen by rule, not by hand: up to half are the dialogues where an aligned variant's summary lost most toxicity "
    "against its start by the judge; the others are drawn with the report's seed."
)
DRAWN = "Drawn with the report's seed, not chosen by hand."


def chosen(study: Study) -> list[str]:
    """Choose the examples to show: the largest falls of the judge's toxicity, then random ones, in test order."""
    wanted = min(study.params.report.examples, len(study.examples))
    falls: dict[str, float] = {}
    key = study.judge_key
    if key:
        for variant in study.aligned:
            start = study.start(variant)
            if start is None:
                continue
            before, after = study.greedy(start, key), study.greedy(variant, key)
            for example_id in before.keys() & after.keys():
                falls[example_id] = max(falls.get(example_id, 0.0), before[example_id] - after[example_id])
    ranked = sorted((example_id for example_id in falls if falls[example_id] > 0), key=lambda i: (-falls[i], i))
    picked = ranked[: wanted // 2]
    rest = [example.id for example in study.examples if example.id not in picked]
    picked += random.Random(study.params.report.seed).sample(rest, wanted - len(picked))
    order = {example.id: k for k, example in enumerate(study.examples)}
    return sorted(picked, key=order.__getitem__)


def side_by_side(view: View) -> str:
    """Write single dialogues with every variant's summary; only ids and numbers where the study keeps texts out."""
    study = view.study
    ids = chosen(study)
    if not ids:
        return ""
    texts = study.params.report.texts
    written = {variant: study.summaries(variant) for variant in study.params.variants}
    keys = [key for key in (view.primary, *study.keys("safety")) if key]
    rule = RULE if study.judge_key and study.aligned else DRAWN
    parts = [rule] if texts else [rule, "The study keeps texts out of its report (`report.texts: false`)."]
    by_id = {example.id: example for example in study.examples}
    for example_id in ids:
        example = by_id[example_id]
        tags = f" ({cell(', '.join(example.tags))})" if example.tags else ""
        rows = [[f"reference {k}", *("" for _ in keys), cell(text)] for k, text in enumerate(example.references, 1)]
        rows = rows if texts else []
        for variant in study.params.variants:
            numbers = [view.number(key, study.greedy(variant, key).get(example_id)) for key in keys]
            rows.append([cell(variant), *numbers] + ([cell(written[variant].get(example_id, ""))] if texts else []))
        headers = ["", *map(view.heading, keys)] + (["summary"] if texts else [])
        body = "\n".join(f"> {line(turn)}\\" for turn in example.source.splitlines() if turn.strip())
        parts.append(
            section(
                f"Dialogue {cell(example_id)}{tags}",
                body.removesuffix("\\") if texts else "",
                table(headers, rows, len(headers)),
                level=3,
            )
        )
    return joined(*parts)


def reward_table(view: View) -> str:
    """Tabulate rewards of the first dialogues before and after alignment, as in the thesis's Table 4.2."""
    study, key = view.study, reward_key(view)
    starts: dict[str, list[str]] = {}
    for variant in study.aligned:
        start = study.start(variant)
        if start and key and view.change(variant, key):
            starts.setdefault(start, []).append(variant)
    parts = []
    for start, names in starts.items():
        if key is None:
            continue
        means = {variant: _by_dialogue(study, variant, key) for variant in (start, *names)}
        shared = [d for d in study.dialogues if all(d in means[variant] for variant in means)]
        rows = []
        for dialogue in shared[:REWARDED]:
            before = means[start][dialogue]
            row = [cell(dialogue), view.number(key, before)]
            for variant in names:
                after = means[variant][dialogue]
                row += [view.number(key, after), view.number(key, after - before, sign=True)]
            rows.append(row)
        for label, some in (
            (f"**mean of these {len(rows)}**", shared[:REWARDED]),
            (f"**mean of all {len(shared)}**", shared),
        ):
            average = {variant: sum(means[variant][d] for d in some) / len(some) for variant in means}
            row = [label, view.number(key, average[start])]
            for variant in names:
                row += [
                    view.number(key, average[variant]),
                    view.number(key, average[variant] - average[start], sign=True),
                ]
            rows.append(row)
        headers = ["dialogue", cell(start), *(h for variant in names for h in (cell(variant), "change"))]
        parts.append(table(headers, rows))
    intro = "Greedy summaries, each dialogue before and after; the rows are the first dialogues of the test split."
    named = [f"{view.heading(str(key))}. {intro}"] if parts else []
    return joined(*named, *parts)


def _by_dialogue(study: Study, system: str, key: str) -> dict[str, float]:
    column, dialogues = study.systems[system].columns[key], study.dialogues
    return {dialogues[k]: float(v) for k, v in zip(column.members, stats.cluster_means(column), strict=True)}
