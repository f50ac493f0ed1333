"""What stands beside the metrics: costs.json, and scores.csv with every single value."""

from __future__ import annotations

from typing import Any

from bench.report.figures import DIGITS, finite, rounded
from bench.report.load import SAMPLED, Study


def costs(study: Study) -> dict[str, Any]:
    """The contents of costs.json: sizes, seconds and bytes of each variant, and the wall seconds of every stage."""
    variants: dict[str, Any] = {}
    for name in study.params.variants:
        train = study.costs[f"train/{name}"]
        trainable, total = train.get("trainable_parameters"), train.get("total_parameters")
        variants[name] = finite(
            {
                "trainable_parameters": trainable,
                "total_parameters": total,
                "trainable_share": trainable / total if total and trainable is not None else None,
                "checkpoint_bytes": train.get("checkpoint_bytes"),
            }
        ) | {stage: _measured(study.costs.get(f"{stage}/{name}", {})) for stage in ("train", "generate", "score")}
    stages = {place: found["wall_seconds"] for place, found in study.costs.items() if "wall_seconds" in found}
    return {"variants": variants, "stages": stages, "total_wall_seconds": rounded(float(sum(stages.values())))}


def _measured(found: dict[str, Any]) -> dict[str, Any]:
    """Seconds, rates, bytes and counts; what the manifest says is said once, above."""
    known = ("trainable_parameters", "total_parameters", "checkpoint_bytes")
    return finite({k: v for k, v in found.items() if k not in known and isinstance(v, int | float) and v is not True})


def score_rows(study: Study) -> list[dict[str, Any]]:
    """The rows of scores.csv: one a writer, example, kind of output and draw, with every value it was given."""
    merged: dict[tuple[str, str, str, int], dict[str, Any]] = {}
    keys = list(dict.fromkeys(key.removesuffix(SAMPLED) for key in study.columns))
    dialogue_of = {example.id: example.dialogue_id for example in study.examples}
    for name, writer in study.writers.items():
        for row in writer.raw:
            place = (name, row.id, row.output, row.draw)
            blank = {
                "variant": name,
                "id": row.id,
                "dialogue_id": dialogue_of[row.id],
                "output": row.output,
                "draw": row.draw,
            } | dict.fromkeys(keys, "")
            found = merged.setdefault(place, blank)
            found |= {key: f"{value:.{DIGITS}g}" for key, value in row.values.items()}
    return list(merged.values())
