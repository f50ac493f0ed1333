"""All metrics of one variant, or of a yardstick -> scores/<name>.jsonl and the signature of each column."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from bench import artifacts, plugins, splits
from bench.config import Params
from bench.context import ScoreContext
from bench.schema import Example, Prediction, ScoreRow, UserError


def score(params: Params, context: ScoreContext) -> list[ScoreRow]:
    """Every metric of the study, each in the order of the examples."""
    return [row for name, block in params.metrics.items() for row in plugins.find("metric", name).score(context, block)]


def score_and_write(params: Params, *contexts: ScoreContext) -> list[ScoreRow]:
    """Score the contexts of one variant; store the rows and, for each column among them, its signature.

    What is about the dialogue and not about what was written counts once, however many contexts there are.
    """
    context = contexts[0]
    if context.has_model:
        splits.check_predictions(context.variant, context.examples, context.predictions, context.generation.samples)
    rows = [row for i, each in enumerate(contexts) for row in score(params, each) if i == 0 or row.output != "dialogue"]
    _check_finite(context.variant, rows)
    data = f"{params.data.dataset}@{artifacts.sha256_file(artifacts.split_path('test'))[:8]}"
    present = {column_of(row, key) for row in rows for key in row.values}
    signatures = {}
    for name, block in params.metrics.items():
        for column, text in plugins.find("metric", name).signature(block, context).items():
            if column in present:
                signatures[column] = f"{text}|data:{data}|split:test|{_decoding(params, context, column)}"
    artifacts.write_rows(artifacts.scores_path(context.variant), rows)
    artifacts.write_json(artifacts.signatures_path(context.variant), {"signatures": signatures})
    return rows


def _check_finite(variant: str, rows: Sequence[ScoreRow]) -> None:
    """A score that is no number comes from a broken model or classifier, and would spoil every mean."""
    for row in rows:
        for key, value in row.values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"variant '{variant}': metric '{row.metric}' gives {value} as {key} of '{row.id}'; the model or the "
                    "classifier is broken, so train or restore it."
                )


def column_of(row: ScoreRow, key: str) -> str:
    """The column a value belongs to: samples have their own, named with `_sampled`."""
    return f"{key}_sampled" if row.output == "sample" else key


def _decoding(params: Params, context: ScoreContext, column: str) -> str:
    """What was decoded how; a yardstick was written by no model."""
    if not context.has_model:
        return f"gen:none,{context.variant}"
    limit = params.generation.max_new_tokens
    if column.endswith("_sampled"):
        return f"gen:sample,T1,draws{params.generation.samples},seed{params.generation.seed},max{limit}"
    return f"gen:greedy,max{limit}"


def lead_3(examples: Sequence[Example]) -> list[Prediction]:
    """The first three turns of each dialogue: what a summariser must beat."""
    return [
        Prediction(
            id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=0, text="\n".join(e.source.split("\n")[:3])
        )
        for e in examples
    ]


def human(context: ScoreContext) -> list[ScoreContext]:
    """Each reference held against the others of its dialogue, one context a reference; none where there is but one.

    Row `draw` k is reference k. Averaged within the dialogue as everywhere, this is the mean over all pairs.
    """
    contexts = []
    for k in range(max(len(example.references) for example in context.examples)):
        held = [e for e in context.examples if len(e.references) > max(k, 1)]
        others = [e.model_copy(update={"references": e.references[:k] + e.references[k + 1 :]}) for e in held]
        written = [
            Prediction(id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=k, text=e.references[k]) for e in held
        ]
        contexts.append(dataclasses.replace(context, examples=others, predictions=written))
    return [each for each in contexts if each.examples]


def headline(params: Params, rows: Sequence[ScoreRow]) -> str:
    """The study's primary metric, averaged over rows; the report has it with its interval."""
    key = params.report.primary
    values = [row.values[key] for row in rows if key in row.values]
    return f"{key} {sum(values) / len(values):.4f} over {len(values)} rows" if values else f"no {key}"
