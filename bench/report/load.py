"""Everything the report is made of, read and checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench import artifacts, plugins, splits, stats
from bench.config import Params
from bench.schema import Column, Example, Lengths, Prediction, ScoreRow, UserError

SAMPLED, INPUT = "_sampled", "_input"
Curve = list[dict[str, float]]
COUNTED = ("wall_seconds", "trainable_parameters", "total_parameters", "checkpoint_bytes")
LENGTHS = TypeAdapter(dict[str, dict[str, Lengths]])  # start -> split -> what the check stage counted
LARGEST = 1e12  # of a score; squares and sums of what lies below stay finite


def is_toxicity(key: str) -> bool:
    """Whether a column holds probabilities of toxicity; the toxicity metric reports rewards too."""
    return key.startswith("toxicity")


@dataclass(frozen=True)
class Scored:
    """The scores of one writer (a variant or a yardstick): raw rows, one `stats.Rows` a column, signatures."""

    raw: list[ScoreRow]
    columns: dict[str, stats.Rows]
    signatures: dict[str, str]

    def greedy(self, key: str) -> dict[str, float]:
        """The value of a column by example id, samples left out."""
        return {row.id: row.values[key] for row in self.raw if row.output != "sample" and key in row.values}


@dataclass(frozen=True)
class Study:
    """A whole study as it lies on disk. `writers` holds the yardsticks that exist first, then the variants."""

    params: Params
    examples: list[Example]
    columns: dict[str, Column]
    metric_of: dict[str, str]
    writers: dict[str, Scored]
    predictions: dict[str, list[Prediction]]
    curves: dict[str, Curve]
    costs: dict[str, dict[str, Any]]
    warnings: list[str]

    @property
    def dialogues(self) -> list[str]:
        """The dialogues in the order of the test split; their positions are the clusters of every statistic."""
        return list(dict.fromkeys(example.dialogue_id for example in self.examples))

    def keys(self, metric: str, sampled: bool | None = False) -> list[str]:
        """The columns of a metric that some writer has; `sampled` picks greedy, sampled or (None) both."""
        return [
            key
            for key, owner in self.metric_of.items()
            if owner == metric
            and (sampled is None or key.endswith(SAMPLED) == sampled)
            and any(key in writer.columns for writer in self.writers.values())
        ]

    def toxicity(self, sampled: bool | None = False) -> list[str]:
        """The columns that hold probabilities of toxicity of what was written."""
        return [key for key in self.keys("toxicity", sampled) if is_toxicity(key) and not key.endswith(INPUT)]

    @property
    def judged(self) -> str | None:
        """The greedy toxicity column of the judge, which no training saw."""
        known = self.toxicity()
        return next((key for key in known if "judge" in key), known[-1] if known else None)

    def taught(self, variant: str) -> str | None:
        """The greedy toxicity column of the classifier that `variant` was trained against."""
        teacher = self.params.variants[variant].learns_from.rsplit("/", 1)[-1]
        return next((key for key in self.toxicity() if teacher in key), None)

    def start(self, variant: str) -> str | None:
        """The variant that `variant` started from; for a checkpoint, the untrained variant of it if there is one."""
        block = self.params.variants[variant]
        if block.method == "none":
            return None
        if block.init in self.params.variants:
            return block.init
        untrained = (
            name for name, other in self.params.variants.items() if other.method == "none" and other.init == block.init
        )
        return next(untrained, None)

    @property
    def aligned(self) -> list[str]:
        """The variants that followed a classifier."""
        blocks = self.params.variants.items()
        return [name for name, block in blocks if plugins.find("method", block.method).LEARNS_FROM == "reward"]


def read(params: Params) -> Study:
    """Read a study.

    Raises:
        UserError: a file is missing or broken, or its rows are not those of the test split.
    """
    examples, warnings = artifacts.read_split("test"), _strangers(params)
    columns: dict[str, Column] = {}
    metric_of: dict[str, str] = {}
    for metric, config in params.metrics.items():
        found = plugins.find("metric", metric).columns(config)
        columns |= found
        metric_of |= dict.fromkeys(found, metric)
    # The human yardstick does not exist where every dialogue has a single reference.
    yardsticks = [name for name in artifacts.YARDSTICKS if name != "human" or artifacts.scores_path(name).exists()]
    writers = {}
    for name in (*reversed(yardsticks), *params.variants):
        scored, odd = _read_scores(name, examples, metric_of)
        warnings += odd
        if scored.columns:
            writers[name] = scored
        if name in params.variants:
            _check_complete(name, scored, examples, metric_of, params)
    if params.report.primary not in columns:
        raise UserError(
            f"params.yaml: report.primary: no metric has a column '{params.report.primary}'; "
            f"{plugins.nearest(params.report.primary, sorted(columns))}"
        )
    variants = list(params.variants)
    return Study(
        params=params,
        examples=examples,
        columns=columns,
        metric_of=metric_of,
        writers=writers,
        predictions={name: _read_predictions(name, examples) for name in variants},
        curves={name: curve for name in variants if (curve := _read_curve(name))},
        costs=_read_costs(params),
        warnings=warnings,
    )


def _read_predictions(name: str, examples: list[Example]) -> list[Prediction]:
    """The summaries of a variant, one greedy summary a dialogue."""
    found = artifacts.read_predictions(name)
    splits.check_predictions(name, examples, found)
    return found


def _strangers(params: Params) -> list[str]:
    """A warning for each scores file that params does not name: a removed variant leaves its files behind."""
    known = {*params.variants, *artifacts.YARDSTICKS}
    return [
        f"{path} belongs to no variant of params.yaml and was left out; delete it."
        for path in sorted(artifacts.SCORES.glob("*.jsonl"))
        if path.stem not in known
    ]


def _read_scores(name: str, examples: list[Example], metric_of: dict[str, str]) -> tuple[Scored, list[str]]:
    """The scores of one writer, and warnings about rows of metrics that params does not name."""
    path = artifacts.scores_path(name)
    order = {dialogue: k for k, dialogue in enumerate(dict.fromkeys(example.dialogue_id for example in examples))}
    cluster = {example.id: order[example.dialogue_id] for example in examples}
    collected: dict[str, tuple[list[int], list[float]]] = {}
    rows, odd = [], set()
    for row in artifacts.read_rows(path, ScoreRow):
        if row.metric not in metric_of.values():
            odd.add(row.metric)
            continue
        if row.id not in cluster:
            raise UserError(f"{path}: row '{row.id}' is not in {artifacts.split_path('test')}; run `dvc repro`.")
        huge = next((key for key, value in row.values.items() if abs(value) > LARGEST), None)
        if huge is not None:
            raise UserError(f"{path}: row '{row.id}': {huge}: {row.values[huge]:g} is no score; run `dvc repro`.")
        rows.append(row)
        for key, value in row.values.items():
            column = key + SAMPLED if row.output == "sample" else key
            if column not in metric_of:
                raise UserError(f"{path}: metric '{row.metric}' has no column '{column}'; add it to its columns().")
            codes, values = collected.setdefault(column, ([], []))
            codes.append(cluster[row.id])
            values.append(value)
    columns = {key: stats.rows(*collected[key]) for key in metric_of if key in collected}
    signatures = _read_signatures(name, columns)
    return Scored(rows, columns, signatures), [
        f"{path}: rows of '{metric}' were left out, params.yaml does not name that metric." for metric in sorted(odd)
    ]


def _read_signatures(name: str, columns: dict[str, stats.Rows]) -> dict[str, str]:
    """The signature of each column, completed with the number of dialogues behind it."""
    path = artifacts.signatures_path(name)
    known = artifacts.read_object(path).get("signatures", {}) if columns else {}
    missing = [key for key in columns if not isinstance(known, dict) or not isinstance(known.get(key), str)]
    if missing:
        raise UserError(f"{path}: signatures.{missing[0]}: missing; run `dvc repro` to score '{name}' again.")
    return {key: f"{known[key]}|n:{column.n}" for key, column in columns.items()}


def _check_complete(
    name: str, scored: Scored, examples: list[Example], metric_of: dict[str, str], params: Params
) -> None:
    """A variant must have every metric, and scores for all examples of the test split."""
    path = artifacts.scores_path(name)
    absent = set(params.metrics) - {metric_of[key] for key in scored.columns}
    if absent:
        raise UserError(f"{path}: no rows of metric '{min(absent)}', which params.yaml names; run `dvc repro`.")
    greedy: dict[str, set[str]] = {}
    for row in scored.raw:
        if row.output == "greedy" and row.values:
            greedy.setdefault(row.metric, set()).add(row.id)
    for metric, ids in ({"": {row.id for row in scored.raw}} | greedy).items():
        missing = {example.id for example in examples} - ids
        if missing:
            of = f" of metric '{metric}'" if metric else ""
            raise UserError(
                f"{path}: no row{of} for '{min(missing)}' of {artifacts.split_path('test')}; run `dvc repro`."
            )


def _read_curve(name: str) -> Curve:
    """The training curve of a variant; empty where nothing was trained."""
    path = artifacts.curve_path(name)
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            curve = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (TypeError, ValueError, OSError, csv.Error) as error:
        raise UserError(f"{path} is not a table of numbers ({error}); train '{name}' again.") from None
    for line, row in enumerate(curve, 2):
        odd = next((key for key, value in row.items() if not abs(value) <= LARGEST), None)
        if odd is not None:
            raise UserError(f"{path} line {line}: {odd}: {row[odd]} is no number to draw; train '{name}' again.")
    return curve


def _read_costs(params: Params) -> dict[str, dict[str, Any]]:
    """Costs by `stage/name`, leaving out those of variants and checkpoints that params no longer names."""
    named = {*params.variants, *params.checkpoints, "yardsticks", *artifacts.YARDSTICKS}
    found = {f"train/{name}": _read_cost(artifacts.cost_path("train", name)) for name in params.variants}
    for path in sorted(artifacts.COSTS.glob("*/*.json")):
        if path.stem in named or path.parent.name not in ("checkpoint", "train", "generate", "score"):
            found[f"{path.parent.name}/{path.stem}"] = _read_cost(path)
    return found


def _read_cost(path: Path) -> dict[str, Any]:
    """One stage's seconds, bytes and counts."""
    found = artifacts.read_object(path)
    for key in (*COUNTED, *(f"{split}_dropped" for split in artifacts.SPLITS)):
        value = found.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
            raise UserError(f"{path}: {key}: must be a number of at least 0; run `dvc repro` to measure it again.")
    try:
        LENGTHS.validate_python(found.get("lengths", {}))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("lengths", *first["loc"])))
        raise UserError(f"{path}: {field}: {first['msg']}; run `dvc repro` to count again.") from None
    return found
