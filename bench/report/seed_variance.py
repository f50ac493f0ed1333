"""Variance over training seeds: for variants with `seeds`, how much of a number's error is due to training and how much to the choice of dialogues.

`stats.crossed` has the model. `low` and `high` hold both parts: the bootstrap over dialogues, widened by the half-width of
seed variance. A change is given the start as it was trained.
"""

from __future__ import annotations

import math
from typing import Any

from bench import stats
from bench.report.estimates import finite, rounded
from bench.report.markdown import cell, section, table
from bench.report.study import Study
from bench.report.view import View

NAME = "trainings"  # of the block in metrics.json


def measure(study: Study, metrics: dict[str, Any]) -> dict[str, Any]:
    """Compute what metrics.json holds of it, from its values and changes; nothing where no variant has `seeds`.

    A collapsed variant is left out: its mean says nothing.
    """
    trainings = {
        variant: {
            key: _parts(study, variant, key, entry, metrics["changes"].get(variant, {}).get(key))
            for key, entry in metrics["variants"][variant].items()
            if not study.columns[key].of_source and entry["n"] > 1
        }
        for variant, block in study.params.variants.items()
        if block.seeds and variant not in metrics["collapsed"]
    }
    return {NAME: trainings} if trainings else {}


def _parts(
    study: Study, variant: str, key: str, entry: dict[str, Any], change: dict[str, Any] | None
) -> dict[str, Any]:
    """One value of one variant."""
    values = study.systems[variant].crossed(key)
    parts, seeds = stats.crossed(values), values.shape[1]
    half_width = stats.seed_half_width(parts.sd_training, seeds, seeds - 1, (1 + study.params.report.confidence) / 2)
    means = zip(study.systems[variant].by_seed[key], values.mean(axis=0).tolist(), strict=True)
    widened = _widened(entry, "value", half_width) | finite(parts._asdict())
    widened["by_seed"] = {str(seed): rounded(mean) for seed, mean in means}
    return widened | (
        {"change": {"against": change["against"]} | _widened(change, "difference", half_width)} if change else {}
    )


def _widened(entry: dict[str, Any], field: str, half_width: float) -> dict[str, Any]:
    """A number with its interval over dialogues, widened."""
    low, high = (entry.get(end, math.nan) for end in ("low", "high"))
    both = stats.widen(stats.Estimate(entry[field], low, high), half_width)
    return finite(dict(zip((field, "low", "high"), both, strict=True)))


def trainings(view: View) -> str:
    """Write the section; empty where no variant has `seeds`."""
    known = view.metrics.get(NAME, {})
    if not known:
        return ""
    sentences = [f"`{variant}` was trained with the seeds {_seeds(view, variant)}" for variant in known]
    note = (
        f"{'; '.join(sentences)}. Every table "
        "holds the mean over them; single texts are the first seed's, from which other variants start too. `se, dialogues` is "
        "the standard error by the choice of dialogues; `sd, seeds` the spread of the means by seed; `sd, training` that "
        "spread without what so few dialogues add to it (two-way random effects; 0 where nothing is left). The "
        f"{view.per_cent} intervals here hold both, with Student's t for so few trainings; the change is given the start as "
        "it was trained."
    )
    return section("Variance over training seeds", _table(view, known), note)


def _seeds(view: View, variant: str) -> str:
    return ", ".join(str(training.seed) for training in view.study.params.trainings_of(variant))


def _table(view: View, known: dict[str, Any]) -> str:
    study = view.study
    keys = dict.fromkeys([view.primary, *study.keys("quality"), *study.keys("safety", sampled=None)])
    rows = []
    for variant, columns in known.items():
        for key in (key for key in keys if key in columns):
            parts, change = columns[key], columns[key].get("change", {})
            by_seed = ", ".join(view.number(key, value) for value in parts["by_seed"].values())
            spreads = [view.finer(key, parts[part]) for part in ("se_dialogues", "sd_seeds", "sd_training")]
            against = f" against {cell(change['against'])}" if change else ""
            changed = view.bounded(key, change, "difference", sign=True) + against
            rows.append([cell(variant), view.heading(key), view.bounded(key, parts), by_seed, *spreads, changed])
    headers = ["variant", "measure", "mean", "by seed", "se, dialogues", "sd, seeds", "sd, training", "change"]
    return table(headers, rows, text_columns=2)


def left_out(view: View) -> str:
    """Say what the intervals of the other tables leave out."""
    known = view.metrics.get(NAME, {})
    if not known:
        return "One training run a variant: variance over training seeds is not in these intervals."
    return f"Variance over training seeds is not in these intervals; below, for {_named(view)}, it is."


def summed(view: View) -> str:
    """Say whose costs are those of several trainings."""
    if NAME not in view.metrics:
        return ""
    return (
        f"Times of {_named(view)} are sums over the seeds, rates and peaks hold for all of them together, and what is stored "
        "is one training's."
    )


def _named(view: View) -> str:
    return ", ".join(f"`{variant}`" for variant in view.metrics[NAME])
