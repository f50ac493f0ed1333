"""Group relative policy optimisation (Shao et al. 2024, DeepSeekMath, section 4.1): PPO's clipped ratio without a critic.

Several summaries of one dialogue are sampled, and each is held against the mean of its group. The KL to the start stands in
the loss. Dropout is off throughout. `loss: dapo` and `dr_grpo` are the normalisations of Yu et al. 2025 and Liu et al. 2025.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext
from bench.training.settings import GroupConfig

LEARNS_FROM = "reward"


class Config(MethodConfig, GroupConfig):
    """`loss` is a mean over each summary's tokens and then over summaries (`grpo`), over all tokens (`dapo`), or a sum over tokens
    divided by the longest there may be (`dr_grpo`). `scale_rewards` divides by the standard deviation of the group or the batch.

    `clip_high` lets a token's chance rise further than `clip` lets it fall (DAPO).
    """

    loss: Literal["grpo", "dapo", "dr_grpo"] = "grpo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    clip: float = Field(0.2, gt=0)
    clip_high: float | None = Field(None, gt=0)
    kl_penalty: Literal["k3"] = "k3"
    kl_coefficient: float = Field(0.04, ge=0)


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Train the start (or a fresh adapter on it) on the training split's dialogues; returns the manifest."""
    if config.engine == "trl":
        return _by_trl(config, context)
    from bench.methods.grpo.learner import Learner
    from bench.training import online
    from bench.training.rewards import Reward

    reward = Reward.of(context.learns_from, config.reward, context.device)
    return online.train(Learner(config, context, reward), config.method)


def _by_trl(config: Config, context: TrainContext) -> dict[str, Any]:
    from trl import GRPOConfig, GRPOTrainer

    from bench.training import online_by_trl, trainer

    def made(model: Any, reward: Any, settings: dict[str, Any], prompts: Any, tokenizer: Any) -> GRPOTrainer:
        args = trainer.one_gpu(GRPOConfig(**settings))
        return GRPOTrainer(model, reward, args=args, train_dataset=prompts, processing_class=tokenizer)

    more = {
        "loss_type": config.loss,
        "scale_rewards": config.scale_rewards,
        "epsilon": config.clip,
        "epsilon_high": config.clip if config.clip_high is None else config.clip_high,
        "use_bias_correction_kl": False,
    }
    return dict(online_by_trl.train(config, context, config.method, made, more))
