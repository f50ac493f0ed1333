"""Another online method on the shared loop: its targets and its loss are all that it brings."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
import torch

from bench.core import paths
from bench.lm import models
from bench.training import online
from bench.training.context import TrainContext
from bench.training.online import OnlineLearner
from bench.training.rewards import Reward
from bench.training.rollouts import Rollout, Tensors
from bench.training.settings import OnlineConfig, RewardConfig


class Reinforce(OnlineLearner):
    """REINFORCE with the batch's mean reward as the baseline (Williams 1992), no value head."""

    def targets(self, rollout: Rollout) -> Tensors:
        advantage = rollout.shaped_rewards - rollout.shaped_rewards.mean()
        return {"advantage": advantage.unsqueeze(1) * rollout.mask}

    def loss(
        self, logits: torch.Tensor, extras: Tensors, rollout: Rollout, targets: Tensors
    ) -> tuple[torch.Tensor, dict[str, float]]:
        logprobs, mask = models.token_logprobs(logits, rollout.batch.labels)
        return -(targets["advantage"] * logprobs).sum() / mask.sum(), {}


def run(context: Callable[..., TrainContext], adapter: dict[str, object] | None) -> list[dict[str, float]]:
    """The curve of twelve iterations."""
    given = context("reinforce", learns_from="models/reward")
    config = OnlineConfig(
        adapter=adapter,
        reward=RewardConfig(label="nothate"),
        iterations=12,
        batch_size=8,
        minibatch_size=8,
        learning_rate=3e-2,
        max_new_tokens=8,
    )
    record = online.train(
        Reinforce(config, given, Reward.of(given.learns_from, config.reward, given.device)), "reinforce"
    )
    assert record["kind"] == ("full" if adapter is None else "adapter")
    with paths.curve_path("reinforce").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_a_method_without_a_critic_raises_the_reward(context: Callable[..., TrainContext]) -> None:
    rewards = [row["reward"] for row in run(context, None)]
    assert sum(rewards[-3:]) > sum(rewards[:3])


def test_its_reference_is_the_start_under_a_fresh_adapter(context: Callable[..., TrainContext]) -> None:
    first, *_, last = run(context, {"type": "LORA", "r": 2, "target_modules": ["q", "v"]})
    assert first["kl"] == pytest.approx(0, abs=1e-6) and abs(last["kl"]) > 1e-3
