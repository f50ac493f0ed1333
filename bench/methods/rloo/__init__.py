"""REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024, "Back to Basics", section 3): a summary is one action.

Several summaries of one dialogue are sampled; the mean reward of the others is each one's baseline. The KL penalty is part
of the reward. With more than one pass the ratio of whole summaries is clipped as PPO clips it, as trl does.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext
from bench.training.settings import GroupConfig

LEARNS_FROM = "reward"


class Config(MethodConfig, GroupConfig):
    """The online loop's settings, and the clipping of a whole summary's ratio."""

    clip: float = Field(0.2, gt=0)


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Train the start (or a fresh adapter on it) on the training split's dialogues; returns the manifest."""
    if config.engine == "trl":
        return _by_trl(config, context)
    from bench.methods.rloo.learner import Learner
    from bench.training import online
    from bench.training.rewards import Reward

    reward = Reward.of(context.learns_from, config.reward, context.device)
    return online.train(Learner(config, context, reward), config.method)


def _by_trl(config: Config, context: TrainContext) -> dict[str, Any]:
    from trl import RLOOConfig, RLOOTrainer

    from bench.training import online_by_trl, trainer

    def made(model: Any, reward: Any, settings: dict[str, Any], prompts: Any, tokenizer: Any) -> RLOOTrainer:
        args = trainer.one_gpu(RLOOConfig(**settings))
        return RLOOTrainer(model, reward, args=args, train_dataset=prompts, processing_class=tokenizer)

    return dict(online_by_trl.train(config, context, config.method, made, {"epsilon": config.clip}))
