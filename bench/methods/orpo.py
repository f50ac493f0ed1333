"""Odds-ratio preference optimisation (Hong et al. 2024) on trl's own trainer, which still trains encoder-decoders.

Needs no reference model: the loss is cross-entropy on the chosen summary plus a weighted odds ratio. The pairs are made
as for DPO. A new method is one file such as this one.
"""

from __future__ import annotations

from typing import Any

from bench.core import paths, runtime, storage
from bench.core.blocks import Prompt
from bench.core.schema import UserError
from bench.training.context import TrainContext
from bench.training.settings import PreferenceConfig

LEARNS_FROM = "reward"


class Config(PreferenceConfig):
    """`beta` weighs the odds ratio against the cross-entropy (lambda in the paper)."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Sample pairs, train with trl, save; returns the manifest."""
    from datasets import Dataset, disable_progress_bars
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    from bench.lm import models
    from bench.training import preferences, trainer
    from bench.training.rewards import Reward

    disable_progress_bars()
    if (
        isinstance(context.text, Prompt) and context.text.examples
    ):  # trl is given prompts as text, and cuts them by itself
        raise UserError(
            f"params.yaml: variants.{context.variant}.text.shots: 'orpo' shows none; write shots: 0 or 'dpo'."
        )
    start = context.start()
    if not start.model.config.is_encoder_decoder:  # trl would make prompts of its own, without the chat's template
        raise UserError(
            f"params.yaml: variants.{context.variant}.method: 'orpo' trains encoder-decoders alone; write 'dpo'."
        )
    pairs = preferences.sample(context, start, Reward.of(context, config.reward), config.pairs)
    runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
    loaded = models.trainable(start, config.adapter)
    rows = [
        {"prompt": context.text.prompt.replace("{source}", p.source), "chosen": p.chosen, "rejected": p.rejected}
        for p in pairs
    ]
    steps = trainer.steps_of(config.optim, len(rows))
    settings = ORPOConfig(
        **trainer.arguments(config.optim, context, steps)
        | {
            "train_sampling_strategy": "random",
            "per_device_train_batch_size": config.optim.batch_size // config.optim.accumulation,
            "gradient_accumulation_steps": config.optim.accumulation,
        },
        beta=config.beta,
        max_length=context.text.max_source_tokens,
        max_completion_length=context.text.max_target_tokens,
        is_encoder_decoder=True,
    )
    tool = ORPOTrainer(
        model=loaded.model,
        args=trainer.one_gpu(settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=loaded.tokenizer,
    )
    curve = trainer.run(tool, loaded, context, examples=steps * config.optim.batch_size)
    record = models.save(loaded, context.variant, config.method, {"pairs": len(pairs), "final_loss": curve[-1]["loss"]})
    storage.write_rows(context.out / "pairs.jsonl", pairs)
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
