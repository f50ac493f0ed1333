"""The quality and shape columns that need no model, found by the contract of metrics, and their values of any texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from bench import metrics
from bench.core import plugins
from bench.core.blocks import DatasetConfig, GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import Column, Metric, ScoreContext


class Entry(NamedTuple):
    """A metric by its default block, and its columns that are of use here."""

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


def _of_use(column: Column) -> bool:
    free = column.classifier is None and column.reference is None
    return free and column.role in ("quality", "shape") and not (column.sampled or column.of_source)


def context(system: str, examples: Sequence[Example], rows: Sequence[tuple[str, str]]) -> ScoreContext:
    """Hand a system's summaries, (dialogue, text) each, to a metric as it knows them; a dialogue's second is draw 1."""
    draws: dict[str, int] = {}
    predictions = []
    for dialogue, text in rows:
        draw = draws[dialogue] = draws.get(dialogue, -1) + 1
        predictions.append(Prediction(id=dialogue, dialogue_id=dialogue, output="greedy", draw=draw, text=text))
    return ScoreContext(system, None, examples, predictions, TextConfig(), GenerationConfig(), "cpu")


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
