"""PPO's moving parts: the policy with a value head, its reference, rollouts and updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from bench import generation
from bench.core import distributed
from bench.core.schema import Example, UserError
from bench.lm import architectures, models
from bench.lm.models import Batch, Loaded
from bench.methods.ppo import equations as pg
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.settings import PPOConfig
from bench.training.trainer import out_of_memory


class PolicyWithValue(torch.nn.Module):
    """The language model and a linear value head on its last hidden states. The head starts at 0."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        width = model.config.get_text_config().hidden_size  # type: ignore[union-attr,operator]
        self.value_head = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, T, V) and values (B, T) at every target token."""
        logits, states = architectures.of(self.model).logits_and_states(self.model, batch)
        return logits, self.value_head(states).squeeze(-1)


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
        return Rollout(
            self.batch.rows(index),
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
        if config.minibatch_size < distributed.world_size():
            raise UserError(
                f"params.yaml: variants.{context.variant}.minibatch_size: {config.minibatch_size} summaries cannot be "
                f"shared by {distributed.world_size()} processes; give at least as many."
            )
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
        self.curve: list[dict[str, float]] = []
        self.tokens, self.pieces = 0, 1

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
        """Write one summary a dialogue at temperature 1; score it; measure KL to the reference.

        Each of several processes does that for its share of the rows; all of them then hold the whole.
        """
        sources = [
            models.encode_source(self.policy.tokenizer, example.source, self.context.text)[0] for example in examples
        ]
        written = generation.generate(self.policy, sources, self.config.max_new_tokens, draws=1, shared=True)
        ids = [one.token_ids for (one,) in written]
        self.tokens += sum(map(len, ids))
        batch = models.collate(sources, ids, int(self.policy.tokenizer.pad_token_id), self.policy.device)
        texts, own = [generation.text_of(self.policy, one) for (one,) in written], distributed.shard(len(ids))
        part = batch.rows(slice(own.start, own.stop))
        logits, values = self.actor(part)
        with self.accelerator.autocast():  # the precision of the policy, or KL would not start at 0
            reference = self.reference_logits(part)
        logprobs, mask = models.token_logprobs(logits, part.labels)
        if self.config.kl_penalty == "full":
            kl = pg.kl_penalty("full", logits.float().log_softmax(-1), reference.float().log_softmax(-1))
        else:
            kl = pg.kl_penalty(self.config.kl_penalty, logprobs, models.token_logprobs(reference, part.labels)[0])
        rewards = torch.as_tensor(self.reward.raw([texts[i] for i in own]), device=logits.device)
        logprobs, values, kl, rewards = (
            distributed.all_gather(one, len(ids)) for one in (logprobs, values.float(), kl * mask, rewards)
        )
        raw = rewards.cpu().numpy()
        self.refuse_collapse(texts, raw, float(kl.sum(1).mean()))
        scores = torch.as_tensor(self.reward.shaped(raw), dtype=torch.float32, device=logits.device)
        return Rollout(batch, (batch.labels != models.IGNORED).float(), logprobs, values, kl, raw, scores)

    def reference_logits(self, batch: Batch) -> torch.Tensor:
        """What the start would predict, (B, T, V)."""
        with self.policy.model.disable_adapter() if self.reference is None else nullcontext():
            return models.target_logits(self.reference if self.reference is not None else self.policy.model, batch)

    def refuse_collapse(self, texts: Sequence[str], raw: np.ndarray, kl: float) -> None:
        """End the training when nothing can be learnt any more from what the policy writes."""
        cause = None
        if not math.isfinite(kl) or kl > self.config.kl_limit:
            cause = f"the KL to the start is {kl:.4g} nats a sequence (kl_limit {self.config.kl_limit:g})"
        elif not any(text.strip() for text in texts):
            cause = "every summary of the policy is empty"
        elif len(texts) > 2 and len(set(texts)) == 1:
            cause = f"every summary of the policy is the same, {texts[0]!r:.60}"
        elif not np.isfinite(raw).all():
            cause = "a reward is not a finite number"
        elif len(texts) > 2 and np.ptp(raw) == 0:
            cause = f"the reward is the same, {raw[0]:.4g}, for all {len(texts)} summaries"
        if cause:
            raise UserError(
                f"variants.{self.context.variant}: at step {len(self.curve)} {cause}; the last good state is kept in "
                f"{self.context.work.folder}; lower learning_rate, raise kl_coefficient, or check the reward's model."
            )

    def iteration(self) -> None:
        """One batch of rollouts and the passes over it; adds a row to the curve."""
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
            "step": len(self.curve),
            "reward": float(roll.raw.mean()),
            "paid": float(roll.scores.mean()),
            "kl": kl,
            "kl_coefficient": self.kl.coefficient,
            "length": float(roll.mask.sum(1).mean()),
        }
        self.kl.update(kl, config.batch_size)
        self.curve.append(row | {key: float(np.mean([log[key] for log in logs])) for key in logs[0]})

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on, and the curve so far."""
        return {
            "weights": {name: p.detach() for name, p in self.actor.named_parameters() if p.requires_grad},
            "optimizer": self.optimizer.state_dict(),
            "kl_coefficient": self.kl.coefficient,
            "order": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state_all() if self.context.device == "cuda" else [],
            "curve": self.curve,
            "tokens": self.tokens,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the prompts are drawn anew up to it."""
        self.actor.load_state_dict(state["weights"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.kl.coefficient, self.curve, self.tokens = state["kl_coefficient"], state["curve"], state["tokens"]
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["random"])
        if state["random_gpu"]:
            torch.cuda.set_rng_state_all(state["random_gpu"])
        for _ in self.curve:
            next(self.prompts)

    def update(self, roll: Rollout, advantage: torch.Tensor, returns: torch.Tensor) -> dict[str, float]:
        """One optimiser step on a minibatch, in smaller pieces when memory runs out."""
        while True:
            try:
                self.optimizer.zero_grad()
                logs = self.gradients(roll, advantage, returns)
                break
            except RuntimeError as error:
                rows = len(roll.raw)
                if not out_of_memory(error) or self.pieces >= rows:
                    raise
                if distributed.world_size() > 1:  # the others wait for this one's gradients
                    raise UserError(
                        f"variants.{self.context.variant}: out of memory at step {len(self.curve)} with "
                        f"{len(distributed.shard(rows))} summaries in each process; lower minibatch_size or "
                        "text.max_source_tokens, or train an adapter."
                    ) from None
                self.pieces *= 2
                print(
                    f"train {self.context.variant}: out of memory at step {len(self.curve)}; going on with "
                    f"{math.ceil(rows / self.pieces)} summaries at a time, {rows} a step as before",
                    flush=True,
                )
        norm = float(self.accelerator.clip_grad_norm_(self.actor.parameters(), self.config.max_grad_norm))
        if not math.isfinite(logs["loss"]) or not math.isfinite(norm):
            raise UserError(
                f"variants.{self.context.variant}: the loss became {logs['loss']} (gradient norm {norm}) at step "
                f"{len(self.curve)}; the last good state is kept in {self.context.work.folder}; lower learning_rate."
            )
        self.optimizer.step()
        return logs | {"grad_norm": norm}

    def gradients(self, roll: Rollout, advantage: torch.Tensor, returns: torch.Tensor) -> dict[str, float]:
        """Gradients of a minibatch. Each piece counts by its share of the generated tokens, so pieces change nothing.

        Nor do processes, each of which takes its rows of the minibatch.
        """
        config, tokens, logs = self.config, roll.mask.sum(), dict[str, float]()
        own = distributed.shard(len(roll.raw))
        for index in torch.arange(own.start, own.stop, device=roll.mask.device).chunk(self.pieces):
            part = roll.rows(index)
            share = part.mask.sum() / tokens
            logits, values = self.actor(part.batch)
            logprobs, _ = models.token_logprobs(logits, part.batch.labels)
            loss = pg.losses(
                logprobs,
                part.logprobs,
                values.float(),
                part.values,
                advantage[index],
                returns[index],
                part.mask,
                config.clip,
                config.clip_value,
            )
            entropy = pg.masked_mean(pg.entropy(logits), part.mask)
            total = share * (loss.policy + config.value_weight * loss.value - config.entropy_weight * entropy)
            self.accelerator.backward(total * distributed.world_size())  # gradients are averaged over the processes
            means = {
                "policy_loss": float(loss.policy),
                "value_loss": float(loss.value),
                "entropy": float(entropy),
                "approx_kl": loss.approx_kl,
                "clip_fraction": loss.clip_fraction,
                "value_clip_fraction": loss.value_clip_fraction,
            }
            for key, value in {"loss": float(total / share), **means}.items():
                logs[key] = logs.get(key, 0.0) + float(share) * value
        summed = distributed.all_reduce(torch.tensor(list(logs.values()), dtype=torch.float64, device=roll.mask.device))
        return dict(zip(logs, summed.tolist(), strict=True))

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
