"""Everything the report is made of, read and checked."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from bench import methods, metrics, stats
from bench.core import paths, plugins, storage
from bench.core.parameters import Params
from bench.core.schema import Example, Lengths, Prediction, ScoreRow, UserError, first_error
from bench.data import predictions
from bench.metrics import Column, Role, column_of

Value = TypeVar("Value")
Curve = list[dict[str, float]]
LENGTHS = TypeAdapter(dict[str, dict[str, Lengths]])  # start -> split -> what the check stage counted
COUNTS = TypeAdapter(dict[str, dict[str, Annotated[int, Field(ge=0)]]])  # split -> rows and dropped
SIZES = TypeAdapter(dict[str, Annotated[int, Field(ge=0)]])
LARGEST = 1e12  # of a score; squares and sums of what lies below stay finite


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system (a variant or a reference system): raw rows, one `stats.Rows` a column, signatures.

    `by_seed` has a column's rows of each training apart, where the variant has `seeds`.
    """

    raw: list[ScoreRow]
    columns: dict[str, stats.Rows]
    signatures: dict[str, str]
    by_seed: dict[str, dict[int, stats.Rows]] = field(default_factory=dict)

    def greedy(self, key: str, seed: int | None = None) -> dict[str, float]:
        """Return the value of a column by example id, samples left out, of one training; of several draws the first."""
        rows = [row for row in self.raw if row.output != "sample" and key in row.values and row.seed == seed]
        return _first_by_id((row.id, row.values[key]) for row in rows)

    def crossed(self, key: str) -> stats.Floats:
        """Return the means (n, S) of the dialogues that every training has, by training."""
        apart = list(self.by_seed[key].values())
        shared = reduce(np.intersect1d, [column.members for column in apart])
        return np.stack([stats.cluster_means(stats.restrict(column, shared)) for column in apart], axis=1)


@dataclass(frozen=True)
class Study:
    """A study as it lies on disk. `systems` holds the reference systems that exist first, then the variants."""

    params: Params
    examples: list[Example]
    columns: dict[str, Column]
    metric_of: dict[str, str]
    systems: dict[str, SystemScores]
    predictions: dict[str, list[Prediction]]
    curves: dict[str, Curve]
    costs: dict[str, dict[str, Any]]
    warnings: list[str]
    elsewhere: dict[str, dict[str, SystemScores]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    lengths: dict[str, dict[str, Lengths]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def dialogues(self) -> list[str]:
        """The dialogues in the order of the test split; their positions are the clusters of every statistic."""
        return list(dict.fromkeys(example.dialogue_id for example in self.examples))

    def keys(self, *roles: Role, sampled: bool | None = False, detail: bool = True) -> list[str]:
        """List the columns of these roles, about what was written, that some system has.

        `sampled` picks those of greedy summaries, of samples or (None) of both; `detail` keeps finer cuts of others.
        """
        return [
            key
            for key, column in self.columns.items()
            if column.role in roles
            and not column.of_source
            and (sampled is None or column.sampled == sampled)
            and (detail or not column.detail)
            and any(key in system.columns for system in self.systems.values())
        ]

    def shown(self, key: str) -> list[stats.Floats]:
        """Return the values of a column by every system that has it: what bounds it, see `supports`."""
        return [system.columns[key].values for system in self.systems.values() if key in system.columns]

    @property
    def teachers(self) -> set[str]:
        """The classifiers that some variant was trained against."""
        return {Path(self.params.variants[variant].learns_from).name for variant in self.aligned}

    @property
    def judge_key(self) -> str | None:
        """The greedy safety column of the judge: the checkpoint of that name, else one that no training followed."""
        known = sorted(
            self.keys("safety"),
            key=lambda key: (self.columns[key].classifier != "judge", self.columns[key].classifier in self.teachers),
        )
        return known[0] if known else None

    def followed_key(self, variant: str) -> str | None:
        """Return the greedy safety column of the classifier that `variant` was trained against."""
        teacher = Path(self.params.variants[variant].learns_from).name
        return next((key for key in self.keys("safety") if self.columns[key].classifier == teacher), None)

    def start(self, variant: str) -> str | None:
        """Return the variant that `variant` started from; for a checkpoint, its untrained variant if there is one.

        What trains nothing and is the study's own prompt and decoding as well has no start.
        """
        blocks = self.params.variants
        block = blocks[variant]
        as_it_is = {name for name, other in blocks.items() if other.text is None and other.decoding is None}
        learns = methods.find(block.method).LEARNS_FROM
        if learns == "outputs" or (learns == "nothing" and variant in as_it_is):
            return None
        if block.init in blocks:
            return block.init
        untrained = [name for name, other in blocks.items() if other.method == "none" and other.init == block.init]
        return next((name for name in untrained if name in as_it_is), None)

    def greedy(self, variant: str, key: str) -> dict[str, float]:
        """Return the value of a column by example id, for the summaries that `summaries` shows."""
        return self.systems[variant].greedy(key, self.params.trainings_of(variant)[0].mark)

    def summaries(self, variant: str) -> dict[str, str]:
        """Return the greedy summary of each example; the first training's, where a variant has several."""
        mark = self.params.trainings_of(variant)[0].mark
        rows = [row for row in self.predictions[variant] if row.output == "greedy" and row.seed == mark]
        return _first_by_id((row.id, row.text) for row in rows)

    @property
    def aligned(self) -> list[str]:
        """The variants that followed a classifier."""
        blocks = self.params.variants.items()
        return [variant for variant, block in blocks if methods.find(block.method).LEARNS_FROM == "reward"]


def _first_by_id(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """The first value of each id, in their order."""
    found: dict[str, Value] = {}
    for identity, value in pairs:
        found.setdefault(identity, value)
    return found


def read(params: Params, costs: dict[str, dict[str, Any]] | None = None) -> Study:
    """Read a study; `costs` is what its stages took.

    Raises:
        UserError: a file is missing or broken, or its rows are not those of the test split.
    """
    examples, warnings = storage.read_split("test"), _unknown_scores(params)
    columns: dict[str, Column] = {}
    metric_of: dict[str, str] = {}
    for metric, config in params.metrics.items():
        columns_of_metric = metrics.find(metric).columns(config)
        columns |= columns_of_metric
        warnings += metrics.find(metric).warnings(config, examples)
        metric_of |= dict.fromkeys(columns_of_metric, metric)
    # The human reference does not exist where every dialogue has a single reference.
    reference_systems = [
        system for system in paths.YARDSTICKS if system != "human" or paths.scores_path(system).exists()
    ]
    systems, sizes = {}, {}
    for system in (*reversed(reference_systems), *params.variants):
        scores, unknown = _read_scores(system, examples, metric_of)
        warnings += unknown
        if scores.columns:
            systems[system] = scores
        if system in params.variants:
            sizes[system] = _read_sizes(system)
            _check_complete(system, scores, examples, metric_of, params)
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
        systems=systems,
        predictions={variant: _read_predictions(variant, examples, params) for variant in variants},
        curves={variant: curve for variant in variants if (curve := _read_curve(variant))},
        sizes=sizes,
        lengths=_read_counts(paths.lengths_path(), LENGTHS),
        dropped={
            split: counts.get("dropped", 0) for split, counts in _read_counts(paths.counts_path(), COUNTS).items()
        },
        costs=costs or {},
        warnings=warnings,
        elsewhere={name: _read_elsewhere(params, name, metric_of) for name in params.evaluate_on},
    )


def _read_elsewhere(params: Params, dataset: str, metric_of: dict[str, str]) -> dict[str, SystemScores]:
    """The scores of every variant that has a model on another dataset."""
    examples, found = storage.read_split(paths.elsewhere(dataset)), {}
    for variant, block in params.variants.items():
        if methods.find(block.method).LEARNS_FROM != "outputs":
            system = paths.elsewhere(dataset, variant)
            found[variant], _ = _read_scores(system, examples, metric_of)
            missing = {example.id for example in examples} - {row.id for row in found[variant].raw}
            if missing:
                raise UserError(f"{paths.scores_path(system)}: no row for '{min(missing)}'; run `dvc repro`.")
    return found


def _read_predictions(variant: str, examples: list[Example], params: Params) -> list[Prediction]:
    """The summaries of a variant, of each training as many a dialogue as its decoding draws."""
    rows, draws = storage.read_predictions(variant), params.decoding_of(variant)[1].draws
    for training in params.trainings_of(variant):
        own = [row for row in rows if row.seed == training.mark]
        predictions.check(variant, examples, own, draws=draws)
    return rows


def _unknown_scores(params: Params) -> list[str]:
    """A warning for each scores file that params does not name: a removed variant leaves its files behind."""
    known = {*params.variants, *paths.YARDSTICKS}
    return [
        f"{path} belongs to no variant of params.yaml and was left out; delete it."
        for path in sorted(paths.SCORES.glob("*.jsonl"))
        if path.stem not in known
    ]


def _read_scores(system: str, examples: list[Example], metric_of: dict[str, str]) -> tuple[SystemScores, list[str]]:
    """The scores of one system, and warnings about rows of metrics that params does not name."""
    path = paths.scores_path(system)
    order = {dialogue: k for k, dialogue in enumerate(dict.fromkeys(example.dialogue_id for example in examples))}
    cluster = {example.id: order[example.dialogue_id] for example in examples}
    collected: dict[str, dict[int | None, tuple[list[int], list[float]]]] = {}
    rows, unknown = [], set()
    for row in storage.read_rows(path, ScoreRow):
        if row.metric not in metric_of.values():
            unknown.add(row.metric)
            continue
        if row.id not in cluster:
            raise UserError(f"{path}: row '{row.id}' is not in {paths.split_path('test')}; run `dvc repro`.")
        huge = next((key for key, value in row.values.items() if abs(value) > LARGEST), None)
        if huge is not None:
            raise UserError(f"{path}: row '{row.id}': {huge}: {row.values[huge]:g} is no score; run `dvc repro`.")
        rows.append(row)
        for key, value in row.values.items():
            column = column_of(row, key)
            if column not in metric_of:
                raise UserError(f"{path}: metric '{row.metric}' has no column '{column}'; add it to its columns().")
            for part in {None, row.seed}:  # all rows together, and those of each seed
                codes, values = collected.setdefault(column, {}).setdefault(part, ([], []))
                codes.append(cluster[row.id])
                values.append(value)
    made = {
        key: {part: stats.rows(*held) for part, held in collected[key].items()} for key in metric_of if key in collected
    }
    columns = {key: parts[None] for key, parts in made.items()}
    by_seed = {key: {seed: column for seed, column in parts.items() if seed is not None} for key, parts in made.items()}
    return SystemScores(rows, columns, _read_signatures(system, columns), by_seed), [
        f"{path}: rows of '{metric}' were left out, params.yaml does not name that metric."
        for metric in sorted(unknown)
    ]


def _read_signatures(system: str, columns: dict[str, stats.Rows]) -> dict[str, str]:
    """The signature of each column, completed with the number of dialogues behind it."""
    path = paths.signatures_path(system)
    known = storage.read_object(path).get("signatures", {}) if columns else {}
    missing = [key for key in columns if not isinstance(known, dict) or not isinstance(known.get(key), str)]
    if missing:
        raise UserError(f"{path}: signatures.{missing[0]}: missing; run `dvc repro` to score '{system}' again.")
    return {key: f"{known[key]}|n:{column.n}" for key, column in columns.items()}


def _read_sizes(variant: str) -> dict[str, int]:
    """Parameters and bytes of a variant's model."""
    path = paths.signatures_path(variant)
    try:
        return SIZES.validate_python(storage.read_object(path).get("model", {}), strict=True)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error, 'model')}; run `dvc repro` to score '{variant}' again.") from None


def _check_complete(
    variant: str, scores: SystemScores, examples: list[Example], metric_of: dict[str, str], params: Params
) -> None:
    """A variant must have every metric, and scores for all examples of the test split."""
    path = paths.scores_path(variant)
    absent = set(params.metrics) - {metric_of[key] for key in scores.columns}
    absent -= {name for name in absent if metrics.find(name).PARTIAL}
    if not methods.find(params.variants[variant].method).OWN_DISTRIBUTION:
        absent -= {name for name, block in params.metrics.items() if _of_model(metrics.find(name).columns(block))}
    if absent:
        raise UserError(f"{path}: no rows of metric '{min(absent)}', which params.yaml names; run `dvc repro`.")
    marks = [training.mark for training in params.trainings_of(variant)]
    unknown = {row.seed for row in scores.raw} - set(marks)
    if unknown:
        raise UserError(
            f"{path}: rows of seed {unknown.pop()}, which params.yaml does not give '{variant}'; run `dvc repro`."
        )
    for mark in marks:
        greedy: dict[str, set[str]] = {"": set()}
        for row in (row for row in scores.raw if row.seed == mark):
            greedy[""].add(row.id)
            if row.output == "greedy" and row.values:
                greedy.setdefault(row.metric, set()).add(row.id)
        for metric, ids in greedy.items():
            missing = {example.id for example in examples} - ids
            if missing:
                of = (f" of metric '{metric}'" if metric else "") + ("" if mark is None else f" with seed {mark}")
                raise UserError(
                    f"{path}: no row{of} for '{min(missing)}' of {paths.split_path('test')}; run `dvc repro`."
                )


def _of_model(columns: dict[str, Column]) -> bool:
    return all(column.role == "distance" for column in columns.values())


def _read_curve(variant: str) -> Curve:
    """The training curve of a variant; empty where nothing was trained."""
    path = paths.curve_path(variant)
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            curve = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (TypeError, ValueError, OSError, csv.Error) as error:
        raise UserError(f"{path} is not a table of numbers ({error}); train '{variant}' again.") from None
    for line, row in enumerate(curve, 2):
        broken = next((key for key, value in row.items() if not abs(value) <= LARGEST), None)
        if broken is not None:
            raise UserError(
                f"{path} line {line}: {broken}: {row[broken]} is no number to draw; train '{variant}' again."
            )
    return curve


def _read_counts(path: Path, kind: TypeAdapter[Any]) -> Any:
    """What an earlier stage counted; empty where the study ran without it."""
    if not path.exists():
        return {}
    try:
        return kind.validate_python(storage.read_object(path), strict=True)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}; run `dvc repro` to count again.") from None
