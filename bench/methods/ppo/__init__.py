"""Proximal policy optimisation against a classifier's logit, with a KL penalty to its start.

No maintained library does this for encoder-decoders (trl removed its PPO trainer in 1.13), so it is written here on
torch, transformers, peft and accelerate; the equations are in equations.py. Dropout is off
throughout, so that the ratio of the first step is exactly 1 and its KL to the start exactly 0.
"""

from __future__ import annotations

import time
from typing import Any

from bench.core import paths, runtime, storage
from bench.core.schema import MethodConfig
from bench.training.context import TrainContext
from bench.training.settings import PPOConfig

LEARNS_FROM = "reward"


class Config(MethodConfig, PPOConfig):
    """A variant block of this method."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Train the start (or a fresh adapter on it) on the training split's dialogues; returns the manifest."""
    from bench.lm import models
    from bench.methods.ppo.learner import Learner
    from bench.training.rewards import Reward

    learner = Learner(config, context, Reward.of(context, config.reward))
    seconds, started = 0.0, time.monotonic()
    if state := context.work.load_state():
        learner.restore(state["learner"])
        seconds = state["seconds"]

    for step in context.progress(range(config.iterations), f"{context.variant}: PPO", config.iterations):
        if step < len(learner.curve):
            continue
        learner.iteration()
        if context.work.due() or step + 1 == config.iterations:
            context.work.save_state({"learner": learner.state(), "seconds": seconds + time.monotonic() - started})
    context.meter.record(
        "training",
        seconds + time.monotonic() - started,
        examples=config.iterations * config.batch_size,
        tokens=learner.tokens,
    )
    runtime.set_seed(context.seed)
    facts = {f"last_{key}": value for key, value in learner.curve[-1].items() if key != "step"} | learner.validate()
    record = models.save(learner.policy, context.variant, config.method, facts)
    storage.write_table(paths.curve_path(context.variant), learner.curve)
    return record
