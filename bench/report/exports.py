"""What stands beside the metrics: scores.csv with every single value, predictions.jsonl with every text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core import storage
from bench.core.schema import Strict, TrainedBy
from bench.metrics import SAMPLED
from bench.report.estimates import DIGITS
from bench.report.study import Study


class Summary(Strict):
    """One line of predictions.jsonl: a greedy summary with the variant that wrote it."""

    variant: str
    id: str
    dialogue_id: str
    output: str
    draw: int
    text: str
    seed: TrainedBy = None


def score_rows(study: Study) -> list[dict[str, Any]]:
    """Build the rows of scores.csv: one a system, example, kind of output, draw and seed, with every value it was given.

    A column that no system has is left out.
    """
    merged: dict[tuple[str, str, str, int, int | None], dict[str, Any]] = {}
    there = {key for scores in study.systems.values() for key in scores.columns}
    keys = list(dict.fromkeys(key.removesuffix(SAMPLED) for key in study.columns if key in there))
    several = any(block.seeds for block in study.params.variants.values())
    dialogue_of = {example.id: example.dialogue_id for example in study.examples}
    for system, scores in study.systems.items():
        for row in scores.raw:
            place = (system, row.id, row.output, row.draw, row.seed)
            blank = {
                "variant": system,
                "id": row.id,
                "dialogue_id": dialogue_of[row.id],
                "output": row.output,
                "draw": row.draw,
                **({"seed": "" if row.seed is None else row.seed} if several else {}),
            } | dict.fromkeys(keys, "")
            cells = merged.setdefault(place, blank)
            cells |= {key: f"{value:.{DIGITS}g}" for key, value in row.values.items()}
    return list(merged.values())


def summaries(study: Study) -> list[Summary]:
    """List every greedy summary: variants as params.yaml has them, then the order of the test split."""
    place = {example.id: k for k, example in enumerate(study.examples)}
    return [
        Summary(variant=variant, **row.model_dump(include={"id", "dialogue_id", "output", "draw", "text", "seed"}))
        for variant in study.params.variants
        for row in sorted(study.predictions[variant], key=lambda row: place.get(row.id, len(place)))
        if row.output == "greedy"
    ]


def write_summaries(study: Study, path: Path) -> None:
    """Write predictions.jsonl, or remove it where the study keeps texts out of its report."""
    if study.params.report.texts:
        storage.write_rows(path, summaries(study))
    else:
        path.unlink(missing_ok=True)
