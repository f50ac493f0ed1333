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
    """`n` samples at temperature 1, ranked by the reward; of equals the first."""

    n: int = Field(8, ge=2, le=1024)
    reward: RewardConfig = RewardConfig()


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Record the start, n and the reward with its digest; returns the manifest."""
    chosen: dict[str, Any] = {"n": config.n, "learns_from": config.learns_from, "reward": config.reward.model_dump()}
    if config.reward.metric is None:
        name = Path(config.learns_from).name
        chosen["by"] = f"{name}@{manifest.digest(name)[:8]}({config.reward.label or ''})"
    else:
        chosen["by"] = config.reward.metric
    return context.alias(config.method, {"best_of": chosen})
