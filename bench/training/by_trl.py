"""trl's own trainers for decoder-only models: to hold ours against them, or to use what trl does.

What every method needs of them: which bases and prompts they can be given, the settings in their names, and their curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.core import runtime
from bench.core.blocks import Prompt, TextConfig
from bench.core.schema import UserError
from bench.lm import models, prompts
from bench.lm.models import Loaded
from bench.training import trainer
from bench.training.context import TrainContext
from bench.training.settings import OptimConfig

Curve = list[dict[str, float]]


def check(start: Loaded, text: TextConfig, where: str, plain: bool = True) -> None:
    """Refuse what trl cannot be given: an encoder-decoder and, where it reads texts itself (`plain`), a chat or shots.

    Raises:
        UserError: it names the block `where` of params.yaml.
    """
    if start.model.config.is_encoder_decoder:
        raise UserError(f"params.yaml: {where}.engine: trl trains decoder-only models alone; remove it.")
    shots = text.examples if isinstance(text, Prompt) else text.shots
    if plain and (text.chat or shots):
        raise UserError(
            f"params.yaml: {where}.engine: trl is given plain prompts without shots; remove it, or chat and shots."
        )


def prompt_of(loaded: Loaded, source: str, context: TrainContext) -> str:
    """Return the whole prompt round a dialogue as text, the dialogue cut to fit."""
    return context.text.prompt.replace("{source}", prompts.fitting(loaded.tokenizer, source, context.text))


def arguments(config: OptimConfig, context: TrainContext, steps: int) -> dict[str, Any]:
    """Return the settings of a trainer that draws its own batches and accumulates by itself."""
    return trainer.arguments(config, context, steps) | {
        "train_sampling_strategy": "random",
        "per_device_train_batch_size": config.batch_size // config.accumulation,
        "gradient_accumulation_steps": config.accumulation,
    }


def sft(loaded: Loaded, rows: Sequence[dict[str, Any]], config: OptimConfig, context: TrainContext) -> Curve:
    """Train on rows of `input_ids` and `labels` by SFTTrainer; the tokens are ours, so a chat is one as well.

    Raises:
        UserError: trl cannot train this base.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import SFTConfig, SFTTrainer

    check(loaded, context.text, context.where, plain=False)
    disable_progress_bars()
    runtime.set_seed(context.seed)
    whole = [
        {
            "input_ids": [*row["input_ids"], *row["labels"]],
            "labels": [models.IGNORE_INDEX] * len(row["input_ids"]) + list(row["labels"]),
        }
        for row in rows
    ]
    steps = trainer.steps_of(config, len(rows))
    settings = SFTConfig(**arguments(config, context, steps), max_length=None, packing=False)
    made = SFTTrainer(
        model=loaded.model,
        args=trainer.one_gpu(settings),
        train_dataset=Dataset.from_list(whole),
        processing_class=loaded.tokenizer,
    )
    counts = {"examples": steps * config.batch_size}
    return [{"step": row["step"], "loss": row["loss"]} for row in trainer.run(made, loaded, context, **counts)]


def reward(loaded: Loaded, rows: Sequence[dict[str, Any]], config: OptimConfig, context: TrainContext) -> Curve:
    """Train a decoder with one logit by RewardTrainer, on rows with the `sequences` of chosen and rejected."""
    from datasets import Dataset, disable_progress_bars
    from trl import RewardConfig, RewardTrainer

    disable_progress_bars()
    runtime.set_seed(context.seed)
    pairs = [dict(zip(("chosen_ids", "rejected_ids"), row["sequences"], strict=True)) for row in rows]
    steps = trainer.steps_of(config, len(rows))
    settings = RewardConfig(**arguments(config, context, steps), max_length=None, disable_dropout=True)
    made = RewardTrainer(
        model=loaded.model,
        args=trainer.one_gpu(settings),
        train_dataset=Dataset.from_list(pairs),
        processing_class=loaded.tokenizer,
    )
    curve = trainer.run(made, loaded, context, examples=steps * config.batch_size)
    return [{key: row[key] for key in ("step", "loss", "accuracy", "margin") if key in row} for row in curve]
