"""A fabricated study: scores of five variants and two reference systems, for tests that read its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench import metrics
from bench.core import costs, parameters, paths, plugins, storage
from bench.core.blocks import CheckpointConfig, DatasetConfig, MethodConfig
from bench.core.schema import Example, Prediction, ScoreRow

NASTY = (
    "evil|pipe `tick` <script>alert(1)</script> [link](http://x.y) \x1b[31mred\x1b[0m **bold** $x$ &amp; _a_\n# head"
)
GIVEN = NASTY.replace("\x1b", "")  # a dataset with control characters is refused; a model may write them
START = {"baseline": "base", "full": "base", "lora": "base", "ppo": "full", "dpo": "full"}
METHOD = {"baseline": "none", "full": "sft", "lora": "sft", "ppo": "ppo", "dpo": "dpo"}
LEVEL = {"baseline": 0.26, "lora": 0.66, "full": 0.74, "ppo": 0.74, "dpo": 0.74, "lead-3": 0.3, "human": 0.8}
TOXIC = {"baseline": 0.02, "lora": 0.12, "full": 0.18, "ppo": 0.06, "dpo": 0.09, "lead-3": 0.2, "human": 0.15}
Built = tuple[Path, dict[str, Any], str]  # the report's folder, its metrics, its Markdown
AT = "2026-01-02T03:04:05+00:00"


class Base(CheckpointConfig):
    """A checkpoint with a name, as the hub's plugin has."""

    model: str = "tiny/one"


def online_row(i: int) -> dict[str, float]:
    return {"reward": i, "kl": 0.1 * i, "kl_coefficient": 0.2 + i, "entropy": 1.0, "clip_fraction": 0.01 * i}


def toy_params(**changes: Any) -> parameters.Params:
    """A study of five variants, its blocks typed by hand so that no plugin but the metrics matters."""
    blocks = {
        name: MethodConfig(method=METHOD[name], init=init, learns_from=teacher(name)) for name, init in START.items()
    }
    settings: dict[str, Any] = {
        "study": "toy",
        "data": DatasetConfig(dataset="miniature"),
        "checkpoints": {"base": Base(source="hub"), "reward": Base(source="hub"), "judge": Base(source="hub")},
        "variants": blocks,
        "metrics": {name: plugins.find("metric", name).Config() for name in ("rouge", "toxicity", "kl", "text")},
        "report": parameters.ReportConfig(resamples=400, slices=["heated", "calm"]),
    }
    return parameters.Params(**(settings | changes))


def teacher(name: str) -> str:
    return {"sft": "data/train.jsonl", "none": "models/base"}.get(METHOD[name], "models/reward")


def noise(system: str, n: int) -> np.random.Generator:
    return np.random.default_rng([n, *system.encode()])


def fabricate(
    n: int = 24, samples: int = 2, systems: tuple[str, ...] = (*START, *paths.YARDSTICKS)
) -> parameters.Params:
    """Write every file that the report reads, in the current folder; every third dialogue is heated."""
    params = toy_params()
    rows = [
        Example(
            id=f"t{k}",
            dialogue_id=f"d{k}",
            source=f"#Person1#: Hello {k}.\n#Person2#: {GIVEN}",
            references=(f"They greet {k}.", GIVEN),
            tags=("heated",) if k % 3 == 0 else ("calm",),
        )
        for k in range(n)
    ]
    storage.write_rows(paths.split_path("test"), rows)
    for system in systems:
        write_scores(params, system, rows, samples)
    for name in START:
        written = [
            Prediction(id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=0, text=f"{NASTY} {e.id}")
            for e in rows
        ]
        storage.write_rows(paths.predictions_path(name), written)
        measured("train", name, training_seconds=61.5, wall_seconds=70.0, peak_resident_bytes=8e8)
        measured("generate", name, wall_seconds=9.0, generation_tokens_per_second=900.5)
        measured("score", name, wall_seconds=4.0)
        if METHOD[name] != "none":
            curve = [{"step": i, "loss": 2 / (i + 1)} | (online_row(i) if name == "ppo" else {}) for i in range(5)]
            storage.write_table(paths.curve_path(name), curve)
    measured("data", None, wall_seconds=1.0, gpu_name="Toy GPU")
    storage.write_json(paths.counts_path(), {"train": {"rows": 12_426, "dropped": 34}})
    lengths = {"base": {"train": {"rows": 12_426, "sources_cut": 621, "references_cut": 3}}}
    storage.write_json(paths.lengths_path(), lengths)
    return params


def measured(stage: str, item: str | None, **facts: Any) -> None:
    """Costs of a stage, measured at a time that is always the same."""
    known = {costs.AT: AT, costs.INPUTS: costs.identity(stage, item), "machine": {"cpu": "Toy CPU", "threads": 2}}
    storage.write_json(costs.path_of(stage, item), facts | known)


def write_scores(params: parameters.Params, system: str, rows: list[Example], samples: int) -> None:
    """Scores of one system: a value for every column that its metric declares, around the system's level."""
    rng, shared = noise(system, len(rows)), np.random.default_rng(7).normal(0, 0.12, len(rows))
    score_rows: list[ScoreRow] = []
    for metric, block in params.metrics.items():
        if system in paths.YARDSTICKS and metric not in ("rouge", "toxicity"):
            continue
        columns = plugins.find("metric", metric).columns(block)
        wanted: dict[str, list[str]] = {"greedy": [], "sample": [], "dialogue": []}
        for key in columns:
            kind = (
                "sample"
                if key.endswith("_sampled")
                else "dialogue"
                if metric == "kl" or key.endswith("_input")
                else "greedy"
            )
            wanted[kind].append(key.removesuffix("_sampled"))
        for kind, keys in wanted.items():
            for draw in range(samples if kind == "sample" and system not in paths.YARDSTICKS else kind != "sample"):
                for k, example in enumerate(rows):
                    values = {key: one_value(key, system, k, shared[k], rng) for key in keys}
                    if values:
                        score_rows.append(
                            ScoreRow(
                                id=example.id,
                                dialogue_id=example.dialogue_id,
                                output=kind,
                                draw=draw,
                                metric=metric,
                                values=values,
                            )
                        )
    storage.write_rows(paths.scores_path(system), score_rows)
    keys = dict.fromkeys(metrics.column_of(row, key) for row in score_rows for key in row.values)
    signatures = {key: f"{key}|tool-1" + (f"|ref:{START[system]}" if "_start" in key else "") for key in keys}
    about: dict[str, Any] = {"signatures": signatures}
    if system in START:
        trained = 40_000 * list(START).index(system)
        about["model"] = {"trainable_parameters": trained, "total_parameters": 1_000_000, "checkpoint_bytes": 4_000_000}
    storage.write_json(paths.signatures_path(system), about)


def one_value(key: str, system: str, k: int, shared: float, rng: np.random.Generator) -> float:
    if key.startswith("toxicity"):
        return float(np.clip(rng.beta(1, 1 / TOXIC[system]) * (2 if k % 3 == 0 else 0.5), 0, 1))
    if key.startswith("rouge"):
        return float(np.clip(LEVEL[system] + shared + 0.03 * rng.normal(), 0, 1))
    return float(rng.random())


def column(system: str, key: str) -> np.ndarray:
    """(n,): dialogue means of a column, read naively."""
    base, output = key.removesuffix("_sampled"), ("sample",) if key.endswith("_sampled") else ("greedy", "dialogue")
    by_dialogue: dict[str, list[float]] = {}
    for row in storage.read_scores(system):
        if row.output in output and base in row.values:
            by_dialogue.setdefault(row.dialogue_id, []).append(row.values[base])
    return np.array([np.mean(values) for values in by_dialogue.values()])


def section_of(text: str, title: str) -> str:
    """What stands under a heading, or folded under a line of that title."""
    fold = f"<summary>{title}</summary>"
    if fold in text:
        return text.split(fold, 1)[1].split("\n</details>", 1)[0]
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
