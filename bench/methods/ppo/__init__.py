"""Proximal policy optimisation (Schulman et al. 2017) against a classifier's logit, with a KL penalty to its start.

No maintained library does this for encoder-decoders (trl removed its PPO trainer in 1.13), so it is written here on
torch, transformers, peft and accelerate; the equations are in equations.py. Dropout is off throughout, so that the ratio
of the first step is exactly 1 and its KL to the start exactly 0.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext
from bench.training.settings import OnlineConfig

LEARNS_FROM = "reward"


class Config(MethodConfig, OnlineConfig):
    """A variant block: the online loop's settings, discount and lambda of the advantages, clipping, loss weights."""

    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0)
    clip_value: float = Field(0.2, gt=0)
    value_weight: float = Field(0.1, ge=0)
    entropy_weight: float = Field(0.0, ge=0)
    whiten_rewards: bool = False


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Train the start (or a fresh adapter on it) on the training split's dialogues; returns the manifest."""
    from bench.methods.ppo.learner import Learner
    from bench.training import online
    from bench.training.rewards import Reward

    reward = Reward.of(context.learns_from, config.reward, context.device)
    return online.train(Learner(config, context, reward), config.method)
