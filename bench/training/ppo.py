"""PPO's moving parts: the policy with a value head, its reference, rollouts and updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator

from bench import generate, models
from bench.context import TrainContext
from bench.models import Batch, Loaded
from bench.schema import Example
from bench.training import policy_gradient as pg
from bench.training.reward import Reward
from bench.training.settings import PPOConfig


class PolicyWithValue(torch.nn.Module):
    """The language model and a linear value head on the decoder's last hidden states. The head starts at 0."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        width = model.config.get_text_config().hidden_size  # type: ignore[union-attr,operator]
        self.value_head = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, T, V) and values (B, T) at every target token."""
        out = models.target_logits(self.model, batch, output_hidden_states=True)  # type: ignore[arg-type]
        return out.logits, self.value_head(out.decoder_hidden_states[-1]).squeeze(-1)


@dataclass(frozen=True)
class Rollout:
    """Summaries the policy wrote, with all that the update needs; tensors (B, T) but `raw` and `scores` (B,)."""

    batch: Batch
    mask: torch.Tensor
    logprobs: torch.Tensor
    values: torch.Tensor
    kl: torch.Tensor
    raw: np.ndarray
    scores: torch.Tensor

    def rows(self, index: torch.Tensor) -> Rollout:
        """The rollout of some of its sequences."""
        b = self.batch
        return Rollout(
            Batch(b.input_ids[index], b.attention_mask[index], b.labels[index]),
            self.mask[index],
            self.logprobs[index],
            self.values[index],
            self.kl[index],
            self.raw[index.cpu().numpy()],
            self.scores[index],
        )


class Learner:
    """Holds policy, reference, optimiser and the adaptive coefficient; `iteration` is one step of PPO."""

    def __init__(self, config: PPOConfig, context: TrainContext, reward: Reward) -> None:
        self.config, self.context, self.reward = config, context, reward
        start = context.start()
        self.fresh_adapter = config.adapter is not None
        self.policy: Loaded = models.trainable(start, config.adapter)
        # A fresh adapter switched off is the start itself: no second copy. Else the policy moves away from its start.
        self.reference = None if self.fresh_adapter else context.start().model.requires_grad_(False)
        self.accelerator = Accelerator(
            cpu=context.device == "cpu", mixed_precision="bf16" if context.compute.precision == "bfloat16" else "no"
        )
        actor = PolicyWithValue(self.policy.model).to(self.policy.device).eval()
        optimizer = torch.optim.AdamW(
            [p for p in actor.parameters() if p.requires_grad], lr=config.learning_rate, weight_decay=0.0
        )
        self.actor, self.optimizer = self.accelerator.prepare(actor, optimizer)
        self.kl = pg.AdaptiveKL(config.kl_coefficient, config.kl_target, config.kl_horizon)
        self.prompts = self._prompts()
        self.generator = torch.Generator().manual_seed(context.seed)
        self.tokens = 0

    def _prompts(self) -> Iterator[list[Example]]:
        """Batches of training dialogues, each dialogue once before any comes again."""
        rng, queue = np.random.default_rng(self.context.seed), list[int]()
        while True:
            while len(queue) < self.config.batch_size:
                queue += rng.permutation(len(self.context.train)).tolist()
            yield [self.context.train[i] for i in queue[: self.config.batch_size]]
            queue = queue[self.config.batch_size :]

    @torch.no_grad()
    def rollout(self, examples: Sequence[Example]) -> Rollout:
        """Write one summary a dialogue at temperature 1; score it; measure KL to the reference."""
        sources = [
            models.encode_source(self.policy.tokenizer, example.source, self.context.text)[0] for example in examples
        ]
        written = [one for (one,) in generate.write(self.policy, sources, self.config.max_new_tokens, draws=1)]
        self.tokens += sum(len(one.token_ids) for one in written)
        pad = int(self.policy.tokenizer.pad_token_id)
        batch = models.collate(sources, [one.token_ids for one in written], pad, self.policy.device)
        logits, values = self.actor(batch)
        reference = self.reference_logits(batch)
        logprobs, mask = models.token_logprobs(logits, batch.labels)
        if self.config.kl_penalty == "full":
            kl = pg.kl_penalty("full", logits.float().log_softmax(-1), reference.float().log_softmax(-1))
        else:
            kl = pg.kl_penalty(self.config.kl_penalty, logprobs, models.token_logprobs(reference, batch.labels)[0])
        raw = self.reward.raw([generate.text_of(self.policy, one) for one in written])
        scores = torch.as_tensor(self.reward.shaped(raw), dtype=torch.float32, device=logits.device)
        return Rollout(batch, mask.float(), logprobs, values.float(), kl * mask, raw, scores)

    def reference_logits(self, batch: Batch) -> torch.Tensor:
        """What the start would predict, (B, T, V)."""
        with self.policy.model.disable_adapter() if self.reference is None else nullcontext():
            return models.target_logits(
                self.reference if self.reference is not None else self.policy.model, batch
            ).logits

    def iteration(self) -> dict[str, float]:
        """One batch of rollouts and the passes over it; returns what the curve logs."""
        config, roll = self.config, self.rollout(next(self.prompts))
        rewards = pg.token_rewards(roll.scores, roll.kl, roll.mask, self.kl.coefficient)
        advantage, returns = pg.advantages(
            rewards, roll.values, roll.mask, config.gamma, config.gae_lambda, config.whiten_rewards
        )
        logs: list[dict[str, float]] = []
        for _ in range(config.epochs):
            for index in torch.randperm(config.batch_size, generator=self.generator).split(config.minibatch_size):
                index = index.to(roll.mask.device)
                logs.append(self.update(roll.rows(index), advantage[index], returns[index]))
        kl = float(roll.kl.sum(1).mean())
        row = {
            "reward": float(roll.raw.mean()),
            "paid": float(roll.scores.mean()),
            "kl": kl,
            "kl_coefficient": self.kl.coefficient,
            "length": float(roll.mask.sum(1).mean()),
        }
        self.kl.update(kl, config.batch_size)
        return row | {key: float(np.mean([log[key] for log in logs])) for key in logs[0]}

    def update(self, roll: Rollout, advantage: torch.Tensor, returns: torch.Tensor) -> dict[str, float]:
        """One optimiser step on a minibatch."""
        config = self.config
        logits, values = self.actor(roll.batch)
        logprobs, _ = models.token_logprobs(logits, roll.batch.labels)
        loss = pg.losses(
            logprobs,
            roll.logprobs,
            values.float(),
            roll.values,
            advantage,
            returns,
            roll.mask,
            config.clip,
            config.clip_value,
        )
        entropy = pg.masked_mean(pg.entropy(logits), roll.mask)
        total = loss.policy + config.value_weight * loss.value - config.entropy_weight * entropy
        self.optimizer.zero_grad()
        self.accelerator.backward(total)
        norm = self.accelerator.clip_grad_norm_(self.actor.parameters(), config.max_grad_norm)
        self.optimizer.step()
        return {
            "loss": float(total),
            "policy_loss": float(loss.policy),
            "value_loss": float(loss.value),
            "entropy": float(entropy),
            "approx_kl": loss.approx_kl,
            "clip_fraction": loss.clip_fraction,
            "value_clip_fraction": loss.value_clip_fraction,
            "grad_norm": float(norm),
        }

    def validate(self, most: int = 128) -> dict[str, float]:
        """Mean reward and KL of samples on the validation split: what settings are chosen by."""
        examples = list(self.context.validation)[:most]
        rolls = [
            self.rollout(examples[i : i + self.config.batch_size])
            for i in range(0, len(examples), self.config.batch_size)
        ]
        return {
            "validation_reward": float(np.concatenate([roll.raw for roll in rolls]).mean()),
            "validation_kl": float(torch.cat([roll.kl.sum(1) for roll in rolls]).mean()),
        }
