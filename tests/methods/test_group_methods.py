"""GRPO and RLOO: their losses against trl's own, and as trainings on both kinds of model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.core import paths, storage
from bench.core.schema import Prediction, UserError, Written
from bench.methods import grpo, rloo
from bench.methods.grpo.learner import Learner as Grpo
from bench.methods.grpo.learner import clipped_loss
from bench.methods.rloo.learner import Learner as Rloo
from bench.methods.rloo.learner import sequence_loss
from bench.training import groups, online
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.rollouts import kl_penalty
from tests.methods.test_methods import LORA, differ, train, weights

Make = Callable[..., TrainContext]
ONLINE: dict[str, Any] = {
    "iterations": 4,
    "batch_size": 8,
    "minibatch_size": 4,
    "group_size": 4,
    "learning_rate": 2e-2,
    "max_new_tokens": 8,
    "reward": {"label": "nothate"},
}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    old = -torch.rand(6, 5, generator=generator)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]] * 2).float()
    return {
        "logprobs": (old + 0.4 * torch.randn(6, 5, generator=generator)) * mask,
        "old": old * mask,
        "reference": (old + 0.3 * torch.randn(6, 5, generator=generator)) * mask,
        "rewards": torch.randn(6, generator=generator),
        "mask": mask,
    }


class Trainer(SimpleNamespace):
    """What trl's `_compute_loss` asks of the trainer that it is a method of."""

    def __init__(self, kind: str, given: dict[str, torch.Tensor], **more: Any) -> None:
        accelerator = SimpleNamespace(
            gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x, num_processes=1
        )
        super().__init__(
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            importance_sampling_level="token",
            beta=0.04,
            loss_type=kind,
            epsilon_low=0.2,
            epsilon_high=0.28,
            args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
            aux_loss_enabled=False,
            use_vllm=False,
            model=SimpleNamespace(training=True),
            current_gradient_accumulation_steps=1,
            max_completion_length=5,
            _entropy_bonus_enabled=False,
            _metrics={"train": defaultdict(list)},
            accelerator=accelerator,
            **more,
        )
        self._get_per_token_logps_and_entropies = lambda *_, **__: (given["logprobs"], given["logprobs"] * 0, None)


@pytest.mark.parametrize("kind", ["grpo", "dapo", "dr_grpo"])
def test_the_loss_of_grpo_is_trl_s(kind: str) -> None:
    from trl import GRPOTrainer

    given = tensors()
    advantage = groups.relative(given["rewards"], 3, "group")
    inputs = {
        "prompt_ids": torch.zeros(6, 1),
        "prompt_mask": torch.ones(6, 1),
        "completion_ids": torch.zeros(6, 5),
        "completion_mask": given["mask"],
        "advantages": advantage,
        "old_per_token_logps": given["old"],
        "ref_per_token_logps": given["reference"],
        "num_items_in_batch": given["mask"].sum(),
    }
    expected = GRPOTrainer._compute_loss(Trainer(kind, given), None, inputs)
    policy, _ = clipped_loss(given["logprobs"], given["old"], advantage, 0.2, 0.28)
    each = policy + 0.04 * kl_penalty("k3", given["logprobs"], given["reference"])
    config = grpo.Config(method="grpo", init="base", learns_from="models/reward", loss=kind, max_new_tokens=5)
    found = Grpo.averaged(SimpleNamespace(config=config), each, given["mask"])  # type: ignore[arg-type]
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_the_loss_of_rloo_is_trl_s() -> None:
    from trl import RLOOTrainer

    given = tensors()
    advantage = groups.leave_one_out(given["rewards"], 3)
    inputs = {
        "prompt_ids": torch.zeros(6, 1),
        "prompt_mask": torch.ones(6, 1),
        "completion_ids": torch.zeros(6, 5),
        "completion_mask": given["mask"],
        "advantages": advantage,
        "old_logps": given["old"].sum(1),
    }
    trainer = Trainer("", given)
    trainer.epsilon_high = 0.2
    expected = RLOOTrainer._compute_loss(trainer, None, inputs)
    found, clipped = sequence_loss(given["logprobs"], given["old"], advantage, given["mask"], 0.2)
    assert float(found) == pytest.approx(float(expected), abs=1e-6)
    assert 0 < float(clipped) < 1


def run(context: Make, method: str, name: str, **block: Any) -> list[dict[str, str]]:
    record = train(context(name, learns_from="models/reward"), method, **ONLINE | block)
    assert record["facts"]["samples"] == 32
    lines = paths.curve_path(name).read_text().splitlines()
    return [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_it_moves_the_policy_and_starts_at_its_start(context: Make, method: str) -> None:
    curve = run(context, method, method)
    assert differ(weights("base"), weights(method))
    assert abs(float(curve[0]["kl"])) < 1e-5 and float(curve[0]["clip_fraction"]) >= 0
    adapted = run(context, method, "adapted", adapter=LORA)
    assert abs(float(adapted[0]["kl"])) < 1e-5
    assert all(".q." in key or ".v." in key for key in differ(weights("base"), weights("adapted")))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("method", [grpo, rloo])
def test_micro_batches_change_nothing(context: Make, method: Any, count: int) -> None:
    """The gradient of a minibatch is that of all its rows at once, whatever the loss is a mean over."""
    given = context("x", learns_from="models/reward")
    name = method.__name__.rpartition(".")[2]
    config = method.Config(method=name, init="base", learns_from="models/reward", **ONLINE)
    learner = {"grpo": Grpo, "rloo": Rloo}[name](config, given, Reward.of("models/reward", config.reward, "cpu"))
    rollout = learner.sampler.sample(next(learner.prompts), 0)
    targets = learner.targets(rollout)
    found = []
    for micro in (1, count):
        learner.micro_batches.count = micro
        learner.optimizer.zero_grad()
        learner._gradients(rollout, targets)
        found.append({n: p.grad.clone() for n, p in learner.actor.named_parameters() if p.grad is not None})
    for key, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][key], atol=1e-6), key


def test_what_the_policy_writes_on_the_way_is_kept(context: Make) -> None:
    """Before the first iteration the policy is its start; keeping it changes nothing of the training."""
    run(context, "grpo", "plain")
    run(context, "grpo", "kept", keep_every=2)
    assert not differ(weights("plain"), weights("kept"))
    rows = storage.read_rows(paths.model_path("kept") / paths.PROGRESS, Written)
    assert sorted({row.step for row in rows}) == [0, 2, 4]
    assert all(row.kl == pytest.approx(0, abs=1e-5) for row in rows if row.step == 0)
    assert {row.id for row in rows if row.step == 0} == {row.id for row in rows if row.step == 4} != set()
    assert not (paths.model_path("plain") / paths.PROGRESS).exists()


def test_a_length_is_drawn_for_each_sample(context: Make) -> None:
    given = context("x", learns_from="models/reward")
    config = grpo.Config(
        method="grpo", init="base", learns_from="models/reward",
        **ONLINE | {"max_new_tokens": {"low": 2, "high": 6}, "batch_size": 64},
    )  # fmt: skip
    learner = Grpo(config, given, Reward.of("models/reward", config.reward, "cpu"))
    lengths = learner.sampler.sample(next(learner.prompts), 0).mask.sum(1)
    assert set(lengths.tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0, 6.0} and lengths.max() > 3
    with pytest.raises(ValueError, match="'low' 6 is above 'high' 2"):
        grpo.Config(method="grpo", init="base", learns_from="models/reward", max_new_tokens={"low": 6, "high": 2})


def test_a_reward_may_be_a_sum(context: Make) -> None:
    """The parts, each times its weight; each stands in the curve."""
    given = context("sum", learns_from="models/reward")
    config = grpo.Config(
        method="grpo", init="base", learns_from="models/reward",
        **ONLINE | {"reward": {"label": "nothate", "scale": 2.0, "cap": 0.1, "also": {"length": -0.5, "rouge1": 3.0}}},
    )  # fmt: skip
    reward = Reward.of("models/reward", config.reward, "cpu")
    texts, examples = ["hello you", "a meets j"], list(given.train[:2])
    raw = reward.raw(examples, texts)
    plain = Reward.of("models/reward", grpo.Config(**ONLINE, method="grpo", init="b", learns_from="m").reward, "cpu")
    assert raw[:, 0] == pytest.approx(plain.raw(examples, texts)[:, 0])
    assert raw[:, 1].tolist() == [2.0, 3.0] and raw[0, 2] == 0.0 < raw[1, 2]
    expected = [2 * min(row[0], 0.1) - 0.5 * row[1] + 3 * row[2] for row in raw]
    assert reward.shaped(raw).tolist() == pytest.approx(expected)
    assert reward.ranked(raw).tolist() == pytest.approx([row[0] - 0.25 * row[1] + 1.5 * row[2] for row in raw])
    curve = online.train(Grpo(config, given, reward), "grpo")
    assert {"last_length", "last_rouge1", "last_reward"} <= set(curve["facts"])


def test_groups_without_spread_end_the_training(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Reward,
        "raw",
        lambda self, examples, texts: torch.arange(len(texts)).div(4, rounding_mode="floor").numpy()[:, None] * 1.0,
    )
    with pytest.raises(UserError, match=r"variants\.grpo: at step 0 the 4 summaries of each dialogue have one reward"):
        train(context("grpo", learns_from="models/reward"), "grpo", **ONLINE)


def test_rejection_learns_from_the_best_sample_of_each_dialogue(context: Make) -> None:
    record = train(
        context("best", learns_from="models/reward"),
        "rejection",
        samples={"prompts": 6, "samples": 5, "max_new_tokens": 8},
        reward={"label": "nothate"},
        optim={"learning_rate": 1e-2, "batch_size": 2, "steps": 3},
    )
    facts = record["facts"]
    assert facts["samples"] == 30 and facts["best_reward"] > facts["mean_reward"]
    kept = storage.read_rows(paths.model_path("best") / "kept.jsonl", Prediction)
    assert len(kept) == facts["examples"] and not any(row.hit_limit for row in kept)
    assert differ(weights("base"), weights("best"))


def test_rejection_without_anything_to_choose_is_said(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reward, "raw", lambda self, examples, texts: torch.ones(len(texts), 1).numpy())
    block = {
        "samples": {"prompts": 6, "samples": 5, "max_new_tokens": 8},
        "optim": {"learning_rate": 1e-2, "batch_size": 2, "steps": 3},
    }
    with pytest.raises(UserError, match=r"variants\.r\.samples: all samples of a dialogue have one reward"):
        train(context("r", learns_from="models/reward"), "rejection", **block)
