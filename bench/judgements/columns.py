"""The quality and shape columns of metrics, found by their contract, and their values of any texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from bench import metrics
from bench.core import paths, plugins
from bench.core.blocks import DatasetConfig, GenerationConfig, TextConfig
from bench.core.parameters import Params
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import Column, Metric, ScoreContext


class Entry(NamedTuple):
    """A metric by its block, and its columns that are of use here."""

    name: str
    metric: Metric
    block: Any
    columns: dict[str, Column]


def model_free() -> list[Entry]:
    """List the metrics with quality or shape columns that no classifier gives and no model is the reference of."""
    found = []
    for name in plugins.names("metric"):
        metric = metrics.find(name)
        try:
            block = metric.Config()
        except ValidationError:  # it must be told something of a study
            continue
        columns = {key: column for key, column in metric.columns(block).items() if _of_use(column)}
        if columns:
            found.append(Entry(name, metric, block, columns))
    return found


def of_study(params: Params) -> list[Entry]:
    """List the study's metrics that need one of its models, by their blocks: encoders, entailment, unseen reward models.

    Raises:
        UserError: a model is not there.
    """
    found, free = [], {entry.name for entry in model_free()}
    for name, block in params.metrics.items():
        metric = metrics.find(name)
        columns = {key: column for key, column in metric.columns(block).items() if _of_use(column, models=True)}
        if name in free or not columns:
            continue
        needed = {*metric.checkpoints(block).values(), *(c.classifier for c in columns.values() if c.classifier)}
        absent = next((each for each in sorted(needed) if not paths.model_path(each).exists()), None)
        if absent is not None:
            raise UserError(
                f"params.yaml: metrics.{name}: {paths.model_path(absent)} is not there; run `dvc repro`, or `dvc pull` it."
            )
        found.append(Entry(name, metric, block, columns))
    return found


def _of_use(column: Column, models: bool = False) -> bool:
    if column.reference is not None or column.sampled or column.of_source:
        return False
    return column.role in ("quality", "shape") and (models or column.classifier is None)


def context(
    system: str, examples: Sequence[Example], rows: Sequence[tuple[str, str]], loaded: dict[tuple[str, str], Any]
) -> ScoreContext:
    """Hand a system's summaries, (dialogue, text) each, to a metric as it knows them; a dialogue's second is draw 1.

    `loaded` holds the models that metrics have loaded, for every system.
    """
    draws: dict[str, int] = {}
    predictions = []
    for dialogue, text in rows:
        draw = draws[dialogue] = draws.get(dialogue, -1) + 1
        predictions.append(Prediction(id=dialogue, dialogue_id=dialogue, output="greedy", draw=draw, text=text))
    return ScoreContext(system, None, examples, predictions, TextConfig(), GenerationConfig(), "cpu", loaded=loaded)


def values(entry: Entry, given: ScoreContext) -> pd.DataFrame:
    """Compute a metric's columns: a row a prediction, in their order; a column that was not given is nan.

    Raises:
        UserError: the metric cannot judge these texts.
    """
    found = {(row.id, row.draw): row.values for row in entry.metric.score(entry.block, given) if row.output == "greedy"}
    rows = [found.get((p.id, p.draw), {}) for p in given.predictions]
    return pd.DataFrame(rows, columns=list(entry.columns), dtype=float)


def usable(entries: Sequence[Entry], given: ScoreContext, dataset: str) -> tuple[list[Entry], dict[str, str]]:
    """Keep the metrics that can judge these texts of a dataset; the others by name, each with its reason."""
    kept, refused = [], {}
    for entry in entries:
        try:
            entry.metric.check(entry.block, DatasetConfig(dataset=dataset))
            found = values(entry, given)
        except (UserError, ValueError) as error:
            refused[entry.name] = str(error)
            continue
        if found.isna().to_numpy().all():
            refused[entry.name] = "it gives no value for these texts"
        else:
            kept.append(entry)
    return kept, refused
