"""Best of n: no training. Of n samples of the start the one with the highest reward is its summary.

What alignment without training would give, at n times the cost of writing. Its KL to the start is at most
log n - (n - 1) / n nats (Stiennon et al. 2020, appendix; Beirami et al. 2024), whatever the reward.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from bench.core import manifest
from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext
from bench.training.settings import RewardConfig

LEARNS_FROM = "reward"
OWN_DISTRIBUTION = False


class Config(MethodConfig):
    """`n` samples at temperature 1, ranked by the logit of `reward.label`; of equals the first."""

    n: int = Field(8, ge=2, le=1024)
    reward: RewardConfig = RewardConfig()


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Record the start, n and the reward with its digest; returns the manifest."""
    reward = Path(config.learns_from).name
    chosen = {"n": config.n, "reward": reward, "label": config.reward.label, "digest": manifest.digest(reward)}
    return context.alias(config.method, {"best_of": chosen})
