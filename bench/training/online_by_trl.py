"""trl's trainers that sample, for decoder-only models: what GRPO and RLOO by trl share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.core import paths, runtime, storage
from bench.core.schema import Example
from bench.lm import models
from bench.training import by_trl, trainer
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.settings import GroupConfig, OptimConfig

FIELD = "number"  # of a prompt, among the examples: trl hands it to the reward beside what was written
REFERENCE = "ref"  # the adapter in which trl keeps the start of another adapter
LOGGED = {
    "reward": "reward",
    "kl": "kl",
    "clip_ratio/region_mean": "clip_fraction",
    "completions/mean_length": "length",
    "entropy": "entropy",
}


def train(
    config: GroupConfig, context: TrainContext, method: str, made: Callable[..., Any], more: dict[str, Any]
) -> Any:
    """Train by a trainer of trl that samples: `made` makes it of a model, a reward, settings and prompts.

    `more` are the settings of the method alone. Returns the manifest; weights and curve are written.

    Raises:
        UserError: trl cannot be given this base or this prompt.
    """
    from datasets import Dataset, disable_progress_bars

    start = context.start()
    by_trl.check(start, context.text, context.where)
    disable_progress_bars()
    loaded = models.trainable(start, config.adapter)
    teacher = Reward.of(context.learns_from, config.reward, context.device)
    examples: Sequence[Example] = context.tagged("train", config.tag)
    rows = [{"prompt": by_trl.prompt_of(loaded, e.source, context), FIELD: i} for i, e in enumerate(examples)]

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
    settings = by_trl.arguments(optim, context, config.iterations * passes) | {
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
