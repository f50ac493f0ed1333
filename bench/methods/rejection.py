"""Rejection sampling: of n samples of the start the best by the reward is learnt from, as a reference would be.

Also called best-of-n fine-tuning (Touvron et al. 2023, Llama 2, section 3.2.3) or RAFT (Dong et al. 2023).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from bench.core import paths, runtime, storage
from bench.core.blocks import MethodConfig
from bench.core.schema import UserError
from bench.training.context import TrainContext
from bench.training.settings import OptimConfig, RewardConfig, SamplesConfig

LEARNS_FROM = "reward"


class Config(MethodConfig):
    """`samples` says how many are drawn of how many dialogues; then `optim` fine-tunes, or trains an adapter.

    Every `keep_every` steps the policy's summaries of validation dialogues are kept for the report.
    """

    optim: OptimConfig
    samples: SamplesConfig = SamplesConfig(samples=4)
    reward: RewardConfig = RewardConfig()
    adapter: dict[str, Any] | None = None
    keep_every: int | None = Field(None, ge=1)


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Sample, keep the best of each dialogue, train, save; those learnt from stay beside the weights. Returns the manifest."""
    from bench.lm import models, prompts
    from bench.training import batches, preferences, progress, trainer
    from bench.training.rewards import Reward

    start = context.start()
    with context.meter.timed("sampling"):
        reward = Reward.of(context.learns_from, config.reward, context.device)
        drawn = preferences.draw(context, start, reward, config.samples)
    kept = [(one, max(ended, key=lambda i: one.rewards[i])) for one in drawn if (ended := preferences.whole(one))]
    spread = [float(np.ptp(one.rewards)) for one in drawn]
    if not kept or not any(spread):
        cause = "no sample ended within max_new_tokens" if not kept else "all samples of a dialogue have one reward"
        raise UserError(
            f"params.yaml: {context.where}.samples: {cause}, so nothing can be learnt; raise samples or "
            "max_new_tokens, or check the reward's model."
        )
    runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
    loaded = models.trainable(start, config.adapter)
    rows = [
        {
            "input_ids": prompts.encode_source(loaded.tokenizer, one.example.source, context.text).ids,
            "labels": list(one.samples[best].token_ids),
        }
        for one, best in kept
    ]
    keeper = progress.of_trainer(
        loaded, reward, context, config.keep_every, config.samples.max_new_tokens, config.adapter
    )
    collator = batches.supervised_collator(int(loaded.tokenizer.pad_token_id))
    curve = trainer.fit(loaded, rows, config.optim, context, collator, callback=keeper)
    facts = {
        "final_loss": curve[-1]["loss"],
        "examples": len(kept),
        "samples": len(drawn) * config.samples.samples,
        "mean_reward": float(np.mean(np.concatenate([one.rewards for one in drawn]))),
        "best_reward": float(np.mean([one.rewards[best] for one, best in kept])),
    }
    record = models.save(loaded, context.variant, config.method, facts)
    if keeper:
        keeper.progress.write()
    storage.write_rows(context.out / "kept.jsonl", [one.samples[best] for one, best in kept])
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
