"""Everything the report is made of, read and checked."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from bench import methods, metrics, stats
from bench.core import paths, plugins, storage
from bench.core.parameters import Params
from bench.core.schema import Example, Lengths, Prediction, ScoreRow, UserError, first_error
from bench.data import predictions
from bench.metrics import Column, column_of
from bench.report.study import Curve, Study, SystemScores

LENGTHS = TypeAdapter(dict[str, dict[str, Lengths]])  # start -> split -> what the check stage counted
COUNTS = TypeAdapter(dict[str, dict[str, Annotated[int, Field(ge=0)]]])  # split -> rows and dropped
SIZES = TypeAdapter(dict[str, Annotated[int, Field(ge=0)]])
PROGRESS = TypeAdapter(list[dict[str, float]])
SAMPLES = TypeAdapter(Annotated[int, Field(ge=0)])
LARGEST = 1e12  # of a score; squares and sums of what lies below stay finite


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
    progress, samples = dict[str, Curve](), dict[str, int]()
    for system in (*reversed(reference_systems), *params.variants):
        scores, unknown = _read_scores(system, examples, metric_of)
        warnings += unknown
        if scores.columns:
            systems[system] = scores
        if system in params.variants:
            sizes[system], about = _read_sizes(system), _read_about(system)
            progress |= {system: about["progress"]} if about.get("progress") else {}
            samples |= {system: about["samples"]} if about.get("samples") else {}
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
        progress=progress,
        samples=samples,
        preferences={name: storage.read_object(paths.about_preferences_path(name)) for name in params.preferences},
        training_sets={name: storage.read_object(paths.about_training_set_path(name)) for name in params.training_sets},
        reward_models={name: storage.read_object(paths.reward_path(name)) for name in params.rewards},
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


def _read_about(variant: str) -> dict[str, Any]:
    """What a policy wrote on its way scored, and how many samples it learnt from."""
    path = paths.signatures_path(variant)
    held = storage.read_object(path)
    try:
        return {
            "progress": PROGRESS.validate_python(held.get("progress", []), strict=True),
            "samples": SAMPLES.validate_python(held.get("samples", 0), strict=True),
        }
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}; run `dvc repro` to score '{variant}' again.") from None


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
        raise UserError(
            f"{path}: no rows of metric '{min(absent)}', which params.yaml names; run `dvc repro`, or mend its score()."
        )
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
                f"{path} line {line}: {broken}: {row[broken]} is no number to draw; lower the learning rate of '{variant}'."
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
