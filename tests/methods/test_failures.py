"""What a training can meet ends it with the step and the cause, or is got round without changing the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import generation
from bench.core import plugins
from bench.core.resume import Work
from bench.core.schema import UserError
from bench.lm import models
from bench.methods.ppo.learner import Learner
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.trainer import LossTrainer

OPTIM = {"learning_rate": 1e-2, "batch_size": 8, "steps": 3}
PAIRS = {"prompts": 10, "samples": 24, "margin": 0.0, "max_new_tokens": 8}
PPO = {"iterations": 2, "batch_size": 8, "minibatch_size": 8, "max_new_tokens": 8}
Make = Callable[..., TrainContext]


def train(context: TrainContext, method: str, **block: Any) -> dict[str, torch.Tensor]:
    module = plugins.find("method", method)
    module.train(module.Config(method=method, init=context.init, learns_from=context.learns_from, **block), context)
    return models.load(context.variant, "cpu").model.state_dict()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("often", [True, False])  # a state after every step; or only after the first
def test_a_loss_that_is_not_finite_ends_the_training(
    value: float, often: bool, context: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = iter([True] * (9 if often else 1))
    real = LossTrainer.loss_sum

    def broken(self: LossTrainer, model: Any, inputs: Any) -> torch.Tensor:
        loss = real(self, model, inputs)
        return loss * value if self.state.global_step == 1 else loss

    monkeypatch.setattr(LossTrainer, "loss_sum", broken)
    monkeypatch.setattr(Work, "due", lambda work: next(due, False))
    ctx = context("full")
    with pytest.raises(
        UserError, match=r"variants\.full: the loss became (nan|inf) at step 2; .*kept in work/train/full"
    ):
        train(ctx, "sft", optim=OPTIM)
    assert [path.parent.name for path in ctx.work.folder.rglob("complete.json")] == ["checkpoint-1"]
    assert not ctx.out.exists()


def test_ppo_ends_on_a_loss_that_is_not_finite(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Learner._gradients
    monkeypatch.setattr(Learner, "_gradients", lambda *a: real(*a) | {"loss": float("nan")})
    with pytest.raises(UserError, match=r"variants\.ppo: the loss became nan .* at step 0"):
        train(context("ppo", learns_from="models/reward"), "ppo", **PPO)


def test_ppo_refuses_a_minibatch_with_fewer_rows_than_processes(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context("ppo", learns_from="models/reward")
    monkeypatch.setenv("WORLD_SIZE", "9")
    with pytest.raises(UserError, match=r"variants\.ppo\.minibatch_size: 8 summaries cannot be shared by 9 processes"):
        train(ctx, "ppo", **PPO)


def rollouts(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """The policy's summaries read as `texts`, over and over."""
    told = iter(range(10**6))
    monkeypatch.setattr(generation, "text_of", lambda loaded, one: texts[next(told) % len(texts)])


def test_ppo_ends_when_every_summary_is_empty(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts(monkeypatch, "", " ")
    with pytest.raises(UserError, match="at step 0 every summary of the policy is empty"):
        train(context("ppo", learns_from="models/reward"), "ppo", **PPO)


def test_ppo_ends_when_every_summary_is_the_same(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rollouts(monkeypatch, "a b")
    with pytest.raises(UserError, match="at step 0 every summary of the policy is the same, 'a b'"):
        train(context("ppo", learns_from="models/reward"), "ppo", **PPO)


def test_ppo_ends_when_the_reward_is_constant(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reward, "raw", lambda self, examples, texts: np.full((len(texts), 1), 0.5))
    with pytest.raises(UserError, match="at step 0 the reward is the same, 0.5, for all 8"):
        train(context("ppo", learns_from="models/reward"), "ppo", **PPO)


def test_ppo_ends_when_a_reward_is_not_finite(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Reward, "raw", lambda self, examples, texts: np.array([[np.nan], *([k] for k in range(len(texts) - 1))])
    )
    with pytest.raises(UserError, match="a reward is not a finite number"):
        train(context("ppo", learns_from="models/reward"), "ppo", **PPO)


def test_ppo_ends_when_the_policy_has_left_its_start(context: Make) -> None:
    ctx = context("ppo", learns_from="models/reward")
    with pytest.raises(UserError, match=r"at step [1-9]\d* the KL to the start is .* \(kl_limit 0.5\)"):
        train(ctx, "ppo", **PPO | {"iterations": 40, "learning_rate": 0.3, "kl_coefficient": 0.0, "kl_limit": 0.5})
    assert not ctx.out.exists()


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose memory holds four dialogues in training: the fifth is refused half way, in the backward pass."""

    class Refuse(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, logits: torch.Tensor, rows: int) -> torch.Tensor:
            ctx.rows = rows
            return logits.view_as(logits)

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
            if ctx.rows > 4:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return grad, None

    from transformers import T5ForConditionalGeneration

    real = T5ForConditionalGeneration.forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The encoder's gradients are not there yet when the first decoder layer refuses: the step is half done.
        if torch.is_grad_enabled() and kwargs.get("encoder_outputs") is None:
            hidden = self.encoder(input_ids=kwargs.pop("input_ids"), attention_mask=kwargs["attention_mask"])
            hidden.last_hidden_state = Refuse.apply(hidden.last_hidden_state, len(hidden.last_hidden_state))
            return real(self, *args, encoder_outputs=hidden, **kwargs)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(T5ForConditionalGeneration, "forward", forward)


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_batch(
    context: Make, tiny_base: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_base / "config.json"
    config.write_text(
        config.read_text().replace('"dropout_rate": 0.1', '"dropout_rate": 0.0')
    )  # drawn for each micro-batch
    whole = train(context("whole"), "sft", optim=OPTIM)
    request.getfixturevalue("scarce")
    scarce = train(context("scarce"), "sft", optim=OPTIM)
    assert "out of memory at step 1; going on with 4 examples at a time, 8 a step as before" in capsys.readouterr().out
    assert all(torch.allclose(whole[key], scarce[key], atol=1e-5) for key in whole)


def test_ppo_out_of_memory_gives_the_same_policy(
    context: Make, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(context("whole", learns_from="models/reward"), "ppo", **PPO)
    request.getfixturevalue("scarce")
    scarce = train(context("scarce", learns_from="models/reward"), "ppo", **PPO)
    assert "out of memory at step 0; going on with 4 summaries at a time, 8 a step" in capsys.readouterr().out
    assert all(torch.allclose(whole[key], scarce[key], atol=1e-5) for key in whole)


def test_out_of_memory_with_one_example_is_said(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: LossTrainer, model: Any, inputs: Any) -> torch.Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(LossTrainer, "loss_sum", never)
    with pytest.raises(UserError, match="out of memory at step 1 with 1 example"):
        train(context("full"), "sft", optim=OPTIM)


def test_no_pair_with_a_difference_is_said(context: Make) -> None:
    with pytest.raises(UserError, match=r"variants\.dpo\.pairs\.margin: none of 10 dialogues"):
        train(context("dpo", learns_from="models/reward"), "dpo", optim=OPTIM, pairs=PAIRS | {"margin": 1e6})
