"""trl's own trainers for decoder-only models: to hold ours against them, or to use what trl does.

What every method needs of them: which bases and prompts they can be given, the settings in their names, and their curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.core import paths, runtime, storage
from bench.core.blocks import Prompt, TextConfig
from bench.core.schema import Example, UserError
from bench.lm import architectures, models, prompts
from bench.lm.models import Loaded
from bench.training import trainer
from bench.training.context import TrainContext
from bench.training.settings import GroupConfig, OptimConfig

Curve = list[dict[str, float]]
FIELD = "number"  # of a prompt, among the examples: trl hands it to the reward beside what was written
REFERENCE = "ref"  # the adapter in which trl keeps the start of another adapter
LOGGED = {
    "reward": "reward",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_fraction",
    "completions/mean_length": "length",
    "entropy": "entropy",
}


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
    """Train a sequence classifier with one logit by RewardTrainer, on rows with the `sequences` of chosen and rejected.

    Raises:
        UserError: the classifier reads as an encoder does.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import RewardConfig, RewardTrainer

    if architectures.of_config(loaded.model.config) is None:
        raise UserError(
            f"params.yaml: {context.where}.engine: trl's RewardTrainer is for decoders; write engine: ours."
        )
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


def online(
    config: GroupConfig, context: TrainContext, method: str, made: Callable[..., Any], more: dict[str, Any]
) -> Any:
    """Train by a trainer of trl that samples: `made` makes it of a model, a reward, settings and prompts.

    `more` are the settings of the method alone. Returns the manifest; weights and curve are written.

    Raises:
        UserError: trl cannot be given this base or this prompt.
    """
    from datasets import Dataset, disable_progress_bars

    from bench.training.rewards import Reward

    start = context.start()
    check(start, context.text, context.where)
    disable_progress_bars()
    loaded = models.trainable(start, config.adapter)
    teacher = Reward.of(context.learns_from, config.reward, context.device)
    examples: Sequence[Example] = context.tagged("train", config.tag)
    rows = [{"prompt": prompt_of(loaded, e.source, context), FIELD: i} for i, e in enumerate(examples)]

    def rewarded(completions: Sequence[str], **columns: Any) -> list[float]:
        raw = teacher.raw([examples[i] for i in columns[FIELD]], list(completions))
        return [float(value) for value in teacher.shaped(raw)]

    passes = config.batch_size // config.minibatch_size * config.epochs
    optim = OptimConfig(
        learning_rate=config.learning_rate,
        batch_size=config.minibatch_size,
        steps=config.iterations * passes,
        schedule="constant",
        max_grad_norm=config.max_grad_norm,
    )
    settings = arguments(optim, context, config.iterations * passes) | {
        "generation_batch_size": config.batch_size,
        "num_generations": config.group_size,
        "num_iterations": config.epochs,
        "max_completion_length": config.longest,
        "beta": config.kl_coefficient,
        "disable_dropout": True,
        "logging_steps": passes,  # a row an iteration
        "logging_first_step": False,
        **more,
    }
    runtime.set_seed(context.seed)
    tool = made(loaded.model, rewarded, settings, Dataset.from_list(rows), loaded.tokenizer)
    found = trainer.run(tool, loaded, context, examples=config.iterations * config.batch_size)
    if REFERENCE in getattr(loaded.model, "peft_config", {}):
        loaded.model.delete_adapter(REFERENCE)
    curve = [
        {"step": float(k)} | {LOGGED.get(key, key): row[key] for key in row if key in ("loss", *LOGGED)}
        for k, row in enumerate(found)
    ]
    facts = {f"last_{key}": value for key, value in curve[-1].items() if key != "step"}
    record = models.save(loaded, context.variant, method, facts | {"samples": config.iterations * config.batch_size})
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
