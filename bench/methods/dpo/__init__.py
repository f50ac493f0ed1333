"""Direct preference optimisation (Rafailov et al. 2023) on pairs its own start wrote.

The start samples summaries, the classifier named by `learns_from` ranks them. The reference's log-probabilities are
computed once before training, so that no second model is held. Dropout is off: step 0 has loss log 2 exactly.
"""

from __future__ import annotations

from typing import Any

from bench.core import paths, runtime, storage
from bench.training.context import TrainContext
from bench.training.settings import PreferenceConfig

LEARNS_FROM = "reward"


class Config(PreferenceConfig):
    """`beta` holds the policy near its start: the larger, the nearer."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Sample pairs, train, save; the pairs stay beside the weights as `pairs.jsonl`. Returns the manifest."""
    from bench.lm import models
    from bench.methods.dpo.loss import PreferenceTrainer, preference_collator, preference_rows
    from bench.training import preferences
    from bench.training.rewards import Reward
    from bench.training.trainer import fit

    start = context.start()
    with context.meter.timed("sampling"):
        pairs = preferences.sample(context, start, Reward.of(context, config.reward), config.pairs)
    rows = preference_rows(start, pairs, context.text, config.optim.batch_size, context.compute.precision)
    runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
    loaded = models.trainable(start, config.adapter)
    curve = fit(
        loaded,
        rows,
        config.optim,
        context,
        preference_collator(int(loaded.tokenizer.pad_token_id)),
        trainer_class=PreferenceTrainer,
        beta=config.beta,
    )
    facts = {"pairs": len(pairs), **{f"last_{key}": value for key, value in curve[-1].items()}}
    record = models.save(loaded, context.variant, config.method, facts)
    storage.write_rows(context.out / "pairs.jsonl", pairs)
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
