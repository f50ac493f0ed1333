"""The same training by trl's own DPOTrainer, for decoder-only models: to hold ours against it, or to use what trl does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core import runtime
from bench.core.blocks import Prompt
from bench.core.schema import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.lm.models import Loaded
    from bench.training.context import TrainContext
    from bench.training.preferences import Pair

CALLED = {"sigmoid": "sigmoid", "ipo": "ipo", "length_normalised": "sigmoid_norm"}
LOGGED = {"rewards/accuracies": "accuracy", "rewards/margins": "margin"}


def train(
    config: Any, context: TrainContext, start: Loaded, pairs: Sequence[Pair]
) -> tuple[Loaded, list[dict[str, float]]]:
    """Train a fresh adapter, or all weights, on the pairs; returns the model and the curve.

    Raises:
        UserError: trl cannot train this base, this loss or this prompt.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import DPOConfig, DPOTrainer

    from bench.lm import models, prompts
    from bench.training import trainer

    where = f"params.yaml: {context.where}"
    if start.model.config.is_encoder_decoder:
        raise UserError(f"{where}.engine: trl trains decoder-only models alone; remove it.")
    if context.text.chat or (isinstance(context.text, Prompt) and context.text.examples):
        raise UserError(f"{where}.engine: trl is given plain prompts without shots; remove it, or chat and shots.")
    disable_progress_bars()
    runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
    loaded = models.trainable(start, config.adapter)
    tool = loaded.tokenizer
    rows = [
        {
            "prompt": context.text.prompt.replace("{source}", prompts.fitting(tool, pair.source, context.text)),
            "chosen": tool.decode(list(pair.chosen_ids[:-1])),
            "rejected": tool.decode(list(pair.rejected_ids[:-1])),
        }
        for pair in pairs
    ]
    steps = trainer.steps_of(config.optim, len(rows))
    settings = DPOConfig(
        **trainer.arguments(config.optim, context, steps)
        | {
            "train_sampling_strategy": "random",
            "per_device_train_batch_size": config.optim.batch_size // config.optim.accumulation,
            "gradient_accumulation_steps": config.optim.accumulation,
        },
        beta=config.beta,
        loss_type=[CALLED[config.loss]],
        max_length=None,
        disable_dropout=True,
    )
    made = DPOTrainer(
        model=loaded.model,
        # By itself trl would look the model up by its name to have a second one.
        ref_model=None if config.adapter is not None else context.start().model,
        args=trainer.one_gpu(settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=tool,
    )
    curve = trainer.run(made, loaded, context, examples=steps * config.optim.batch_size)
    return loaded, [
        {LOGGED.get(key, key): row[key] for key in row if key in ("step", "loss", *LOGGED)} for row in curve
    ]
