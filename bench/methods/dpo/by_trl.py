"""The same training by trl's own DPOTrainer or KTOTrainer, for decoder-only models: to hold ours against it, or to use what trl does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from bench.core import runtime

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
        UserError: trl cannot train this base or this prompt.
    """
    from datasets import Dataset, disable_progress_bars
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    from bench.lm import models
    from bench.training import by_trl, trainer

    by_trl.check(start, context.text, context.where)
    disable_progress_bars()
    runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
    loaded = models.trainable(start, config.adapter)
    tool, rows = loaded.tokenizer, list[dict[str, Any]]()
    for pair in pairs:
        prompt = by_trl.prompt_of(loaded, pair.source, context)
        chosen, rejected = (tool.decode(list(ids[:-1])) for ids in (pair.chosen_ids, pair.rejected_ids))
        if config.loss == "kto":  # each summary by itself
            rows += [
                {"prompt": prompt, "completion": text, "label": label}
                for text, label in ((chosen, True), (rejected, False))
            ]
        else:
            rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    steps = trainer.steps_of(config.optim, len(pairs))
    shared = by_trl.arguments(config.optim, context, steps) | {
        "beta": config.beta,
        "max_length": None,
        "disable_dropout": True,
    }
    if config.loss == "kto":
        shared["per_device_train_batch_size"] *= 2  # summaries, where ours counts pairs
        shared["train_sampling_strategy"] = "sequential"  # each is held against its neighbours
        random.Random(context.seed).shuffle(rows)
    settings = KTOConfig(**shared) if config.loss == "kto" else DPOConfig(**shared, loss_type=[CALLED[config.loss]])
    made = (KTOTrainer if config.loss == "kto" else DPOTrainer)(
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
