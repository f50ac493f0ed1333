"""Whether the blocks of a study, each right by itself, fit together."""

from __future__ import annotations

import re

from bench import datasets, metrics
from bench.config import starts
from bench.config.gate import JUDGE, GateConfig
from bench.core import paths, plugins
from bench.core.blocks import GREEDY, TextConfig
from bench.core.parameters import Params
from bench.core.schema import UserError
from bench.core.validation import validated

NAME = r"[a-z0-9][a-z0-9_-]*"
RESERVED = (*paths.YARDSTICKS, "yardsticks")  # their files lie beside the variants'


def check(params: Params, name: str) -> None:
    """Check names, starts, teachers, seeds and columns together; `name` stands for the file in messages.

    Raises:
        UserError: two blocks contradict each other, or one asks for what is not there.
    """
    _check_names(params, name)
    starts.check(params, name)
    _check_writing(params, name)
    _check_columns(params, name)
    _check_data(params, name)
    validated(GateConfig, params.gate, "gate", name)


def _check_data(params: Params, name: str) -> None:
    """The splits are three, and the metrics have what not every dataset has."""
    try:
        params.data.check_splits()
    except ValueError as error:
        raise UserError(f"{name}: data: {error}.") from None
    default = TextConfig().prompt
    texts = {"text": params.text} | {f"variants.{key}.text": b.text for key, b in params.variants.items() if b.text}
    for field, text in texts.items():
        if text.prompt == default and not datasets.find(params.data.dataset).DIALOGUES:
            raise UserError(
                f"{name}: {field}.prompt: asks for the summary of a conversation, and dataset '{params.data.dataset}' holds none; "
                'write prompt: "{source}", with chat: true for a base that answers in a chat.'
            )
    for metric, block in params.metrics.items():
        try:
            metrics.find(metric).check(block, params.data)
        except ValueError as error:
            raise UserError(f"{name}: metrics.{metric}: {error}.") from None


def _check_names(params: Params, name: str) -> None:
    """Names are folders, files and columns; what the graph needs is there, and nothing is named twice."""
    if "base" not in params.checkpoints:
        raise UserError(f"{name}: checkpoints.base: missing; every study has a base model.")
    for variant, block in params.variants.items():
        if starts.learns(block) not in ("reward", "pairs") or JUDGE in params.checkpoints:
            continue
        if params.classifier_of(variant) in params.checkpoints:
            raise UserError(
                f"{name}: checkpoints.{JUDGE}: missing; variants.{variant} follows a classifier, and one that no training sees "
                "has to say what came of it."
            )
    for part in ("checkpoints", "variants", "preferences", "rewards", "training_sets"):
        for key in getattr(params, part):
            if not re.fullmatch(NAME, key) or len(key) > 64 or key in RESERVED:
                raise UserError(
                    f"{name}: {part}.{key}: use at most 64 lower-case letters, digits, '-' and '_', and none of the "
                    f"reserved names {', '.join(RESERVED)}."
                )
    models: dict[str, str] = {}
    for part in ("checkpoints", "variants", "rewards"):
        for key in getattr(params, part):
            if key in models:
                raise UserError(f"{name}: {part}.{key}: {models[key]} has this name too; rename one of them.")
            models[key] = {"checkpoints": "a checkpoint", "variants": "a variant"}.get(part, "a reward model")


def _check_writing(params: Params, name: str) -> None:
    """Every decoding that is named exists, and shots belong to a variant, whose training draws them."""
    known = [GREEDY, *params.generation.decodings]
    if GREEDY in params.generation.decodings:
        raise UserError(
            f"{name}: generation.decodings.{GREEDY}: '{GREEDY}' is the one without settings; call it otherwise."
        )
    asked = {"generation.primary": params.generation.primary}
    asked |= {
        f"variants.{variant}.decoding": block.decoding for variant, block in params.variants.items() if block.decoding
    }
    for field, decoding in asked.items():
        if decoding not in known:
            raise UserError(
                f"{name}: {field}: generation.decodings has no '{decoding}'; {plugins.nearest(decoding, known)}"
            )
    if params.text.shots:
        raise UserError(
            f"{name}: text.shots: shots are a variant's; write them into its own text, such as "
            "variants.three-shot.text: {shots: 3}."
        )
    for variant, block in params.variants.items():
        own = next((field for field in ("text", "decoding") if getattr(block, field) is not None), None)
        if own and starts.learns(block) == "outputs":
            raise UserError(f"{name}: variants.{variant}.{own}: another system wrote its summaries; remove it.")


def _check_columns(params: Params, name: str) -> None:
    """The classifiers that metrics ask are checkpoints, and the primary measure is a column of some metric."""
    asked = {field: checkpoint for field, (checkpoint, _) in params.labels.items()}
    for metric, block in params.metrics.items():
        asked |= {f"metrics.{metric}.{field}": of for field, of in metrics.find(metric).checkpoints(block).items()}
        for field, reward in metrics.find(metric).rewards(block).items():
            if reward not in params.rewards:
                known = plugins.nearest(reward, list(params.rewards))
                raise UserError(f"{name}: metrics.{metric}.{field}: there is no reward model '{reward}'; {known}")
    others = [key for key in params.checkpoints if key != "base"]
    labels = set(params.labels)
    for field, checkpoint in asked.items():
        if field in labels and checkpoint == "base":
            fix = f"name one of: {', '.join(others)}" if others else "add a classifier to checkpoints, or remove it"
            raise UserError(f"{name}: {field}: 'base' writes and has no labels; {fix}.")
        if checkpoint not in params.checkpoints:
            known = plugins.nearest(checkpoint, others if field in labels else list(params.checkpoints))
            raise UserError(f"{name}: {field}: there is no checkpoint '{checkpoint}'; {known}")
    columns = metrics.columns_of(params.metrics)
    if params.report.primary not in columns:
        raise UserError(
            f"{name}: report.primary: no metric has a column '{params.report.primary}'; "
            f"{plugins.nearest(params.report.primary, sorted(columns))}"
        )
