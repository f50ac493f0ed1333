"""What stands beside the metrics: costs.json, scores.csv with every single value, predictions.jsonl with every text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import artifacts
from bench.report.figures import DIGITS, finite, rounded
from bench.report.load import SAMPLED, Study
from bench.schema import Strict, TrainedBy


class Summary(Strict):
    """One line of predictions.jsonl: a greedy summary with the variant that wrote it."""

    variant: str
    id: str
    dialogue_id: str
    output: str
    draw: int
    text: str
    seed: TrainedBy = None


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
    """Seconds, rates, bytes and counts, and the machine they hold for; what the manifest says is said once, above."""
    known = ("trainable_parameters", "total_parameters", "checkpoint_bytes")
    numbers = finite(
        {k: v for k, v in found.items() if k not in known and isinstance(v, int | float) and v is not True}
    )
    machine = found.get("machine")
    return numbers | ({"machine": machine} if isinstance(machine, dict) else {})


def score_rows(study: Study) -> list[dict[str, Any]]:
    """The rows of scores.csv: one a writer, example, kind of output, draw and seed, with every value it was given."""
    merged: dict[tuple[str, str, str, int, int | None], dict[str, Any]] = {}
    keys = list(dict.fromkeys(key.removesuffix(SAMPLED) for key in study.columns))
    several = any(block.seeds for block in study.params.variants.values())
    dialogue_of = {example.id: example.dialogue_id for example in study.examples}
    for name, writer in study.writers.items():
        for row in writer.raw:
            place = (name, row.id, row.output, row.draw, row.seed)
            blank = {
                "variant": name,
                "id": row.id,
                "dialogue_id": dialogue_of[row.id],
                "output": row.output,
                "draw": row.draw,
                **({"seed": "" if row.seed is None else row.seed} if several else {}),
            } | dict.fromkeys(keys, "")
            found = merged.setdefault(place, blank)
            found |= {key: f"{value:.{DIGITS}g}" for key, value in row.values.items()}
    return list(merged.values())


def summaries(study: Study) -> list[Summary]:
    """Every greedy summary: variants as params.yaml has them, then the order of the test split."""
    place = {example.id: k for k, example in enumerate(study.examples)}
    return [
        Summary(variant=name, **row.model_dump(include={"id", "dialogue_id", "output", "draw", "text", "seed"}))
        for name in study.params.variants
        for row in sorted(study.predictions[name], key=lambda row: place.get(row.id, len(place)))
        if row.output == "greedy"
    ]


def write_summaries(study: Study, path: Path) -> None:
    """Write predictions.jsonl, or remove it where the study keeps texts out of its report."""
    if study.params.report.texts:
        artifacts.write_rows(path, summaries(study))
    else:
        path.unlink(missing_ok=True)
