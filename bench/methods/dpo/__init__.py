"""Direct preference optimisation (Rafailov et al. 2023), and its kin by other losses, on pairs.

Where `learns_from` names a folder of preferences, those are learnt from; else the start samples summaries and what it names
ranks them. The reference's log-probabilities are
computed once before training, so that no second model is held. Dropout is off: step 0 has loss log 2 exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.core import paths, runtime, storage
from bench.training.context import TrainContext
from bench.training.settings import PreferenceConfig

LEARNS_FROM = "pairs"


class Config(PreferenceConfig):
    """`loss` is one of losses.py. `beta` holds the policy near its start: the larger, the nearer; in `orpo` it weighs the odds
    ratio against the cross-entropy, in `simpo` it scales log-probabilities (2 is usual) and `gamma` is the margin asked for.

    With `engine: trl` trl's own DPOTrainer, or KTOTrainer, trains a decoder-only base.
    """

    loss: Literal["sigmoid", "length_normalised", "ipo", "simpo", "orpo", "kto"] = "sigmoid"
    gamma: float = Field(0.0, ge=0)
    engine: Literal["ours", "trl"] = "ours"

    @model_validator(mode="after")
    def _together(self) -> Config:
        if self.gamma and self.loss != "simpo":
            raise ValueError("'gamma' is a margin of 'simpo' alone; remove it")
        if self.engine == "trl" and self.loss in ("simpo", "orpo"):
            raise ValueError(f"trl keeps no trainer with loss '{self.loss}'; write engine: ours")
        if self.engine == "trl" and self.keep_every is not None:
            raise ValueError("'keep_every' is not trl's to do; remove it, or write engine: ours")
        return self


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Sample pairs, train, save; the pairs stay beside the weights as `pairs.jsonl`. Returns the manifest."""
    from bench.lm import models
    from bench.methods.dpo import by_trl
    from bench.methods.dpo.trainer import PreferenceTrainer, preference_collator, preference_rows
    from bench.training import preferences, progress
    from bench.training.rewards import Reward
    from bench.training.trainer import fit

    start = context.start()
    reward = None
    if Path(context.learns_from).parent == paths.PREFERENCES:
        pairs, sampled = preferences.from_rankings(context, start, config.pairs.margin)
    else:
        with context.meter.timed("sampling"):
            reward = Reward.of(context.learns_from, config.reward, context.device)
            pairs = preferences.sample(context, start, reward, config.pairs)
        sampled = min(config.pairs.prompts, len(context.train)) * config.pairs.samples
    keeper = None
    if config.engine == "trl":
        loaded, curve = by_trl.train(config, context, start, pairs)
    else:
        size = config.optim.batch_size
        rows = preference_rows(start, pairs, context.text, size, context.compute, config.loss)
        runtime.set_seed(context.seed)  # a run that goes on after a crash has not sampled before
        loaded = models.trainable(start, config.adapter)
        longest = config.pairs.max_new_tokens
        keeper = progress.of_trainer(loaded, reward, context, config.keep_every, longest, config.adapter)
        curve = fit(
            loaded,
            rows,
            config.optim,
            context,
            preference_collator(int(loaded.tokenizer.pad_token_id)),
            trainer_class=PreferenceTrainer,
            callback=keeper,
            loss=config.loss,
            beta=config.beta,
            gamma=config.gamma,
        )
    facts = {"pairs": len(pairs), "samples": sampled, **{f"last_{key}": value for key, value in curve[-1].items()}}
    record = models.save(loaded, context.variant, config.method, facts)
    if keeper:
        keeper.progress.write()
    storage.write_rows(context.out / "pairs.jsonl", pairs)
    storage.write_table(paths.curve_path(context.variant), curve)
    return record
