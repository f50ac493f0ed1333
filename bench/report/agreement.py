"""How far each measure goes with the truth, where a metric of the study knows it: what a point of ROUGE is evidence of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench import stats
from bench.core import storage
from bench.report.estimates import finite, rounded
from bench.report.markdown import cell, folded, section, table
from bench.report.study import Study
from bench.report.text_statistics import spearman
from bench.report.view import NONE, View, fixed, share

WORTH = Path(__file__).with_name("worth.json")  # what `bench metrics-check --record` measured against people
ROUGE = "rouge1"  # what it was measured of
NAME = "agreement"  # of the block in metrics.json


def measure(study: Study, collapsed: dict[str, float]) -> dict[str, Any]:
    """Correlate every greedy result with every truth, by dialogue within each variant; nothing where no metric knows it.

    `rank_correlation` is Spearman's with its interval; `concordance` the share of pairs of dialogues in which the higher
    value has the higher truth, ties half: 50 % is a coin.
    """
    truths = [key for key in study.keys("quality", "safety") if study.columns[key].truth]
    own = {study.metric_of[truth] for truth in truths}
    others = [key for key in study.keys("quality", "safety") if study.metric_of[key] not in own]
    found: dict[str, Any] = {}
    for truth in truths:
        for variant in study.params.variants:
            if variant not in collapsed:
                pairs = {key: pair for key in others if (pair := _paired(study, variant, key, truth)) is not None}
                told = {key: told for key, pair in pairs.items() if (told := _told(study, *pair))}
                found.setdefault(truth, {}).update({variant: told} if told else {})
    return {NAME: found} if any(found.values()) else {}


def _paired(study: Study, variant: str, key: str, truth: str) -> tuple[stats.Floats, stats.Floats] | None:
    columns = study.systems[variant].columns
    if key not in columns or truth not in columns:
        return None
    shared = np.intersect1d(columns[key].members, columns[truth].members)
    x, y = (stats.cluster_means(stats.restrict(columns[name], shared)) for name in (key, truth))
    return x, y


def _told(study: Study, x: stats.Floats, y: stats.Floats) -> dict[str, Any]:
    """Both statistics of one pair of columns; empty where one of them never varies."""
    estimate = finite(spearman(x, y, study.params.report.confidence)._asdict())
    if "value" not in estimate:
        return {}
    return {"rank_correlation": estimate, "concordance": rounded(concordance(x, y))}


def concordance(x: stats.Floats, y: stats.Floats) -> float:
    """Compute the share of pairs that differ in y of which the one with more y has more x; ties of x count half."""
    ahead, pairs = 0.0, 0
    for start in range(0, len(x), 500):  # thousands of dialogues have millions of pairs
        own_x, own_y = x[start : start + 500, None], y[start : start + 500, None]
        more = own_y > y
        ahead += float(((own_x > x) + 0.5 * (own_x == x))[more].sum())
        pairs += int(more.sum())
    return ahead / pairs if pairs else float("nan")


def agreement(view: View) -> str:
    """Write the section: against people, where the study has ROUGE, and against the truth, where a metric knows it."""
    known = view.metrics.get(NAME, {})
    parts = []
    for truth, variants in known.items():
        keys = list(dict.fromkeys(key for told in variants.values() for key in told))
        rows = [[view.heading(key), *(_cell(told.get(key)) for told in variants.values())] for key in keys]
        title = f"rank correlation with: {view.heading(truth)}"
        parts.append(folded(title, table(["", *map(cell, variants)], rows)))
    return section("What a point of ROUGE is evidence of", worth(view), _said(view), *parts)


def worth(view: View) -> str:
    """Say in one sentence what a point of ROUGE-1 is worth against human judgements, as it was measured."""
    if ROUGE not in view.study.columns:
        return ""
    return f"{storage.read_object(WORTH)['sentence']} (From reports/metrics-check.md.)"


def _cell(told: dict[str, Any] | None) -> str:
    if told is None:
        return NONE
    estimate = told["rank_correlation"]
    bounds = f" [{fixed(estimate['low'], 2)}, {fixed(estimate['high'], 2)}]" if "low" in estimate else ""
    return f"{fixed(estimate['value'], 2)}{bounds}"


def _said(view: View) -> str:
    """One sentence made of the numbers; empty where the primary column is held against no truth."""
    known = view.metrics.get(NAME, {})
    if not known:
        return ""
    primary, pairs, reached = view.heading(view.primary), [], []
    for truth, variants in known.items():
        told = [each[view.primary]["concordance"] for each in variants.values() if view.primary in each]
        if told:
            name = view.heading(truth).removesuffix(" (%)").lower()
            pairs.append(f"*{name}* in {share(min(told), 0)} to {share(max(told), 0)}")
            reached.append((truth, name))
    if not pairs:
        return ""
    best = max(view.metrics["variants"], key=lambda name: view.entry(name, view.primary).get("value", 0.0))
    values = " and ".join(f"{view.number(truth, view.entry(best, truth)['value'])} % {name}" for truth, name in reached)
    return (
        f"Of two summaries by one variant, that with the higher {primary} is the better one by {' and by '.join(pairs)} of the "
        f"pairs that differ, where a coin has 50 %; `{cell(best)}` reaches {primary} "
        f"{view.number(view.primary, view.entry(best, view.primary)['value'])} with {values}."
    )
