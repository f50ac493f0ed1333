"""Supervised fine-tuning on the references: every weight, or any peft adapter that the block describes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.core import paths, storage
from bench.core.blocks import MethodConfig
from bench.core.schema import UserError
from bench.training.context import TrainContext
from bench.training.settings import OptimConfig

LEARNS_FROM = "references"


class Config(MethodConfig):
    """Without `adapter` every weight is trained. `adapter` is any peft config: `{type: LORA, r: 32, ...}`.

    With `engine: trl` trl's SFTTrainer trains a decoder-only base. `examples` takes that many of what it learns from, drawn by the seed; all when absent.
    """

    optim: OptimConfig
    adapter: dict[str, Any] | None = None
    examples: int | None = Field(None, ge=1)
    engine: Literal["ours", "trl"] = "ours"


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Train on each dialogue's first reference and save; returns the manifest."""
    import random

    from bench.lm import models, prompts
    from bench.training import batches, trainer

    if config.examples is not None and config.examples > len(context.train):
        raise UserError(
            f"params.yaml: {context.where}.examples: {config.examples} asked for, "
            f"{context.learns_from} holds {len(context.train)}; lower it."
        )
    loaded = models.trainable(context.start(), config.adapter)
    examples = list(context.train)
    if config.examples is not None:
        examples = random.Random(context.seed).sample(examples, config.examples)

    def rows(split: Any) -> list[dict[str, Any]]:
        return [
            {
                "input_ids": prompts.encode_source(loaded.tokenizer, example.source, context.text)[0],
                "labels": prompts.encode_target(loaded.tokenizer, example.references[0], context.text),
            }
            for example in context.progress(split, f"{context.variant}: encoding", len(split))
        ]

    if config.engine == "trl":
        from bench.training import by_trl

        curve = by_trl.sft(loaded, rows(examples), config.optim, context)
    else:
        collate = batches.supervised_collator(int(loaded.tokenizer.pad_token_id))
        curve = trainer.fit(loaded, rows(examples), config.optim, context, collate)
    facts = {
        "validation_loss": trainer.validation_loss(loaded, rows(context.validation)),
        "final_loss": curve[-1]["loss"],
        "examples": len(examples),
    }
    record = models.save(loaded, context.variant, config.method, facts)
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
