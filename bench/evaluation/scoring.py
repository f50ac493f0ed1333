"""All metrics of one variant, or of a yardstick -> scores/<name>.jsonl and the signature of each column."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from bench import datasets, methods, metrics
from bench.core import manifest, paths, resume, storage
from bench.core.blocks import DecodingConfig
from bench.core.parameters import Params, Training
from bench.core.schema import Example, Prediction, ScoreRow, UserError, Written
from bench.data import predictions
from bench.metrics import Column, ScoreContext, column_of


def contexts(params: Params, variant: str, device: str) -> list[ScoreContext]:
    """Make what the metrics need of a variant, one context a training; their models are loaded once for all."""
    examples, predictions = storage.read_split("test"), storage.read_predictions(variant)
    loaded, start = dict[tuple[str, str], Any](), None
    inputs = [paths.split_path("test"), paths.predictions_path(variant)]
    facts = manifest.read_manifest(variant)
    if methods.find(params.variant(variant).method).OWN_DISTRIBUTION:
        start = params.start_of(variant)
    names = [*params.checkpoints, *([start] if start else [])]
    inputs += [folder for name in names for folder in manifest.lineage(name)]
    settings = [params.metrics, params.generation, params.text, params.decoding_of(variant)]
    return [
        ScoreContext(
            variant=name,
            start=start,
            examples=examples,
            predictions=[row for row in predictions if row.seed == mark],
            text=params.text,
            generation=params.generation,
            device=device,
            inference=params.compute.inference,
            seed=mark,
            best_of=facts["best_of"]["n"] if "best_of" in facts else None,
            draws=params.decoding_of(variant)[1].draws,
            work=resume.Work.of("score", name, settings, params.compute, [*inputs, *manifest.lineage(name)]),
            loaded=loaded,
        )
        for name, _, mark in params.trainings_of(variant)
    ]


def elsewhere(
    params: Params,
    system: str,
    training: Training,
    examples: Sequence[Example],
    written: Sequence[Prediction],
    device: str,
    loaded: dict[tuple[str, str], Any],
) -> ScoreContext:
    """Make what the metrics need of a training's summaries of another dataset: nothing is asked of its model."""
    return ScoreContext(
        variant=system,
        start=None,
        examples=examples,
        predictions=written,
        text=params.text,
        generation=params.generation,
        device=device,
        inference=params.compute.inference,
        seed=training.mark,
        loaded=loaded,
    )


def score(params: Params, context: ScoreContext) -> list[ScoreRow]:
    """Score by every metric of the study, each in the order of the examples."""
    rows = [row for name in params.metrics for row in _of_metric(name, params, context)]
    return rows if context.seed is None else [row.model_copy(update={"seed": context.seed}) for row in rows]


def _of_metric(name: str, params: Params, context: ScoreContext) -> list[ScoreRow]:
    """The rows of one metric; done once, also when the metric after it is interrupted."""
    kept = context.work and context.work.folder / f"{name}.jsonl"
    if kept and kept.exists():
        return storage.read_rows(kept, ScoreRow)
    metric = metrics.find(name)
    if metric.REFERENCES and not all(example.references for example in context.examples):
        return []
    rows = metric.score(params.metrics[name], context)
    if kept:
        storage.write_rows(kept, rows)
    return rows


def score_and_write(params: Params, *contexts: ScoreContext, on: str | None = None) -> list[ScoreRow]:
    """Score the contexts of one variant; store the rows and, for each column among them, its signature.

    `on` names the dataset of `evaluate_on` that they are about, if it is not the study's own.

    What is about the dialogue and not about what was written counts once, however many contexts there are; unless each
    is a training of its own, whose KL stands on the dialogue.
    """
    context = contexts[0]
    rows = []
    for each in contexts:
        if each.has_model:
            predictions.check(each.variant, each.examples, each.predictions, each.generation.samples, each.draws)
        once = each is not context and each.seed is None
        rows += [row for row in score(params, each) if not (once and row.output == "dialogue")]
        each.forget()
    _check_finite(context.variant, rows)
    dataset, split = (params.data, "test") if on is None else (params.evaluate_on[on], paths.elsewhere(on))
    data = f"{dataset.dataset}@{storage.sha256_file(paths.split_path(split))[:8]}"
    arithmetic = "" if params.compute.arithmetic == "float32" else f"|arithmetic:{params.compute.arithmetic}"
    present = {column_of(row, key) for row in rows for key in row.values}
    signatures = {}
    for name, block in params.metrics.items():
        metric = metrics.find(name)
        columns = metric.columns(block)
        for column, text in metric.signature(block, context).items():
            if column in present:
                decoding = _decoding(params, contexts, columns[column], on)
                signatures[column] = f"{text}|data:{data}|split:test|{decoding}{arithmetic}"
    storage.write_rows(paths.scores_path(context.variant), rows)
    about: dict[str, Any] = {"signatures": signatures}
    facts = manifest.read_manifest(context.variant) if on is None and context.variant in params.variants else {}
    if facts.get("kind", "outputs") != "outputs":
        about["model"] = manifest.sizes(context.variant)
        about |= {"samples": count} if (count := facts.get("facts", {}).get("samples")) else {}
        about |= {"progress": found} if (found := progress(params, context)) else {}
    storage.write_json(paths.signatures_path(context.variant), about)
    return rows


def progress(params: Params, context: ScoreContext) -> list[dict[str, float]]:
    """Score what a policy wrote on the way: a row a step with the means of every column over the validation dialogues.

    `followed` is the reward as training saw it, if it saw one. Each dialogue has one sample at temperature 1, and the columns are those of samples where a metric has them.
    """
    path = paths.model_path(context.variant) / paths.PROGRESS
    if not path.exists():
        return []
    examples, rows = storage.read_split("validation"), storage.read_rows(path, Written)
    table = []
    for step in sorted({row.step for row in rows}):
        own = [row for row in rows if row.step == step]
        given = [Prediction(id=r.id, dialogue_id=r.dialogue_id, output="greedy", draw=0, text=r.text) for r in own]
        then = dataclasses.replace(context, examples=examples, predictions=given, start=None, work=None)
        values = {"kl": [row.kl for row in own]}
        if rewards := [row.reward for row in own if row.reward is not None]:
            values["followed"] = rewards
        for name, block in params.metrics.items():
            metric = metrics.find(name)
            if any(column.role == "distance" for column in metric.columns(block).values()):
                continue  # the KL is known already
            for scored in metric.score(block, then):
                for key, value in scored.values.items() if scored.output == "greedy" else ():
                    values.setdefault(key, []).append(value)
        table.append({"step": float(step), "n": float(len(own))} | {key: fmean(held) for key, held in values.items()})
    return table


def _check_finite(variant: str, rows: Sequence[ScoreRow]) -> None:
    """A score that is no number comes from a broken model or classifier, and would spoil every mean."""
    for row in rows:
        for key, value in row.values.items():
            if not math.isfinite(value):
                raise UserError(
                    f"variant '{variant}': metric '{row.metric}' gives {value} as {key} of '{row.id}'; the model or the "
                    "classifier is broken, so train or restore it."
                )


def _decoding(params: Params, contexts: Sequence[ScoreContext], column: Column, on: str | None) -> str:
    """How what a column is about was written; a yardstick was written by no model, outputs by one unknown."""
    context = contexts[0]
    variant = context.variant.rpartition("/")[2] if on else context.variant.partition("/")[0]
    if not context.has_model and variant not in params.variants:
        return f"gen:none,{context.variant}"
    facts = manifest.read_manifest(variant)
    if facts["kind"] == "outputs":
        return f"gen:outputs,sha256:{facts['sha256'][:8]}"
    from bench import generation

    limits, text = params.generation, context.prompt_of(variant)
    decoding = params.decoding_of(variant)[1] if variant in params.variants else DecodingConfig()
    how = "greedy"
    if column.sampled:
        how = f"T1,draws{limits.samples},seed{limits.seed}"
    elif best := facts.get("best_of"):
        how = f"T1,best{best['n']},{best['by']},seed{limits.seed}"
    elif decoding.changed:
        how = ",".join(f"{key}{value:g}" for key, value in decoding.changed.items())
        how += f",seed{limits.seed}" if decoding.sampled else ""
    if rounding := manifest.stored(variant).get("quantize"):
        how += f",{rounding['type']}{'-double' * rounding['double']}"
    # Each training may have drawn shots of its own.
    names = [variant] if on else [each.variant for each in contexts]
    given = "+".join(dict.fromkeys(context.prompt_of(name).prompt_digest[:8] for name in names))
    given = f"prompt:{given}|source:max{text.max_source_tokens}"
    return f"gen:{generation.VERSION},{how},max{limits.max_new_tokens}|{given}"


def yardstick(name: str, params: Params, device: str) -> list[ScoreContext]:
    """Make what the metrics need of a row that no model wrote; none where the dataset has no such row.

    Lead-3 is of dialogues alone, the human ceiling of those with several references.
    """
    examples = storage.read_split("test")
    context = ScoreContext(
        variant=name,
        start=None,
        examples=examples,
        predictions=lead_3(examples),
        text=params.text,
        generation=params.generation,
        device=device,
        inference=params.compute.inference,
    )
    if name == "human":
        return human(context)
    return [context] if datasets.find(params.data.dataset).DIALOGUES else []


def lead_3(examples: Sequence[Example]) -> list[Prediction]:
    """Take the first three turns of each dialogue: what a summariser must beat."""
    return [
        Prediction(
            id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=0, text="\n".join(e.source.split("\n")[:3])
        )
        for e in examples
    ]


def human(context: ScoreContext) -> list[ScoreContext]:
    """Hold each reference against the others of its dialogue, one context a reference; none where there is but one.

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
    """Format the study's primary metric, averaged over rows; the report has it with its interval."""
    key = params.report.primary
    values = [row.values[key] for row in rows if key in row.values]
    return f"{key} {sum(values) / len(values):.4f} over {len(values)} rows" if values else f"no {key}"
