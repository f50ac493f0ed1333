"""Rollouts: summaries that a policy samples, with their rewards and their KL to the start. Every online method's data.

Shapes: B sequences, T tokens, V vocabulary. `mask` is 1 on generated tokens, end-of-sequence included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bench import generation
from bench.core import distributed
from bench.core.schema import Example, UserError
from bench.lm import models, prompts
from bench.lm.models import Batch, Loaded, exact_kl
from bench.training import passes
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.settings import OnlineConfig

Tensors = dict[str, torch.Tensor]
Forward = Callable[[Batch], tuple[torch.Tensor, Tensors]]


def kl_penalty(kind: str, logprobs: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Compute the penalty a token (B, T), nats, of leaving the reference.

    `kl` (k1), `abs`, `mse` (k2) and `k3` (Schulman 2020, "Approximating KL divergence") take the log-probabilities (B, T) of
    the generated tokens; `full` takes those of the whole vocabulary (B, T, V) and gives the exact KL(policy || reference).
    """
    if kind == "full":
        return exact_kl(logprobs, reference)
    difference = logprobs - reference
    if kind == "k3":
        return torch.expm1(-difference) + difference
    return {"kl": difference, "abs": difference.abs(), "mse": 0.5 * difference**2}[kind]


class AdaptiveKL:
    """The KL penalty's coefficient, steered towards a target (nats a sequence): Ziegler et al. 2019, section 2.2."""

    def __init__(self, coefficient: float, target: float | None, horizon: int) -> None:
        self.coefficient, self.target, self.horizon = coefficient, target, horizon

    def update(self, kl: float, sequences: int) -> None:
        """Raise it when KL is above the target, lower it below; at most 20 % of `sequences / horizon`."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coefficient *= 1 + error * sequences / self.horizon


@dataclass(frozen=True)
class Rollout:
    """A batch of samples; tensors (B, T) but `rewards` (B, parts) and `shaped_rewards` (B,).

    `logprobs` are the policy's that sampled, `reference` the start's. `extras` holds what the method's own forward pass gave beside logits, (B, T) each: a critic's values, for example.
    """

    batch: Batch
    mask: torch.Tensor
    logprobs: torch.Tensor
    reference: torch.Tensor
    kl: torch.Tensor
    rewards: np.ndarray
    shaped_rewards: torch.Tensor
    extras: Tensors
    texts: tuple[str, ...] = ()

    def rows(self, index: torch.Tensor) -> Rollout:
        """Select some of its sequences."""
        return Rollout(
            self.batch.rows(index),
            self.mask[index],
            self.logprobs[index],
            self.reference[index],
            self.kl[index],
            self.rewards[index.cpu().numpy()],
            self.shaped_rewards[index],
            {name: extra[index] for name, extra in self.extras.items()},
        )


class Sampler:
    """Samples from a policy, scores the samples and measures their KL to the reference."""

    def __init__(
        self,
        policy: Loaded,
        reference: Any | None,
        reward: Reward | None,
        config: OnlineConfig,
        context: TrainContext,
        forward: Forward,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """`forward` gives logits (B, T, V) and extras of a batch. Without `reference` it is the policy less its adapter.

        Without `reward` every sample earns 0.
        """
        self.policy, self.reference, self.reward = policy, reference, reward
        self.config, self.context = config, context
        self.forward, self.autocast = forward, autocast
        self.tokens = 0

    @torch.no_grad()
    def sample(self, examples: Sequence[Example], step: int) -> Rollout:
        """Write one summary a dialogue at temperature 1; score it; measure KL to the reference.

        Each of several processes does that for its share of the rows; all of them then hold the whole.

        Raises:
            UserError: nothing can be learnt any more from what the policy writes.
        """
        tokenizer = self.policy.tokenizer
        sources = [prompts.encode_source(tokenizer, example.source, self.context.text)[0] for example in examples]
        uniforms = torch.rand(len(sources), 1, self.config.longest)
        samples = generation.generate(self.policy, sources, self.config.longest, uniforms, shared=True)
        written = [_within(one, limit) for (one,), limit in zip(samples, self._limits(len(samples)), strict=True)]
        ids = [one.token_ids for one in written]
        self.tokens += sum(map(len, ids))
        batch = models.collate(sources, ids, int(tokenizer.pad_token_id), self.policy.device)
        texts, own = [generation.text_of(self.policy, one) for one in written], distributed.shard(len(ids))
        part = batch.rows(slice(own.start, own.stop))
        with passes.for_training(self.context.device, self.context.compute.compile):
            logits, extras = self.forward(part)
            with self.autocast():  # the precision of the policy, or KL would not start at 0
                reference_logits = self.reference_logits(part)
        logprobs, mask = models.token_logprobs(logits, part.labels)
        reference, _ = models.token_logprobs(reference_logits, part.labels)
        if self.config.kl_penalty == "full":
            kl = kl_penalty("full", logits.float().log_softmax(-1), reference_logits.float().log_softmax(-1))
        else:
            kl = kl_penalty(self.config.kl_penalty, logprobs, reference)
        chosen = [examples[i] for i in own], [texts[i] for i in own]
        raw = self.reward.raw(*chosen) if self.reward else np.zeros((len(own), 1))
        rewards = torch.as_tensor(raw, device=logits.device)
        shards = {"logprobs": logprobs, "reference": reference, "kl": kl * mask, "rewards": rewards}
        shards |= {name: extra.float() for name, extra in extras.items()}
        gathered = {name: distributed.all_gather(shard, len(ids)) for name, shard in shards.items()}
        logprobs, reference, kl = (gathered.pop(name) for name in ("logprobs", "reference", "kl"))
        raw = gathered.pop("rewards").cpu().numpy()
        self.refuse_collapse(texts, raw, float(kl.sum(1).mean()), step)
        earned = self.reward.shaped(raw) if self.reward else raw[:, 0]
        shaped = torch.as_tensor(earned, dtype=torch.float32, device=logits.device)
        mask = (batch.labels != models.IGNORE_INDEX).float()
        return Rollout(batch, mask, logprobs, reference, kl, raw, shaped, gathered, tuple(texts))

    def _limits(self, count: int) -> list[int]:
        """The most tokens of each sample: one number for all, or drawn for each."""
        bounds = self.config.max_new_tokens
        if isinstance(bounds, int):
            return [bounds] * count
        return [int(limit) for limit in torch.randint(bounds.low, bounds.high + 1, (count,))]

    def reference_logits(self, batch: Batch) -> torch.Tensor:
        """Compute what the start would predict, (B, T, V)."""
        with self.policy.model.disable_adapter() if self.reference is None else nullcontext():
            return models.target_logits(self.reference if self.reference is not None else self.policy.model, batch)

    def refuse_collapse(self, texts: Sequence[str], rewards: np.ndarray, kl: float, step: int) -> None:
        """End the training when nothing can be learnt any more from what the policy writes.

        Raises:
            UserError: the KL exceeds `kl_limit`, all summaries are empty or the same, or the rewards are constant.
        """
        cause = None
        if not math.isfinite(kl) or kl > self.config.kl_limit:
            cause = f"the KL to the start is {kl:.4g} nats a sequence (kl_limit {self.config.kl_limit:g})"
        elif not any(text.strip() for text in texts):
            cause = "every summary of the policy is empty"
        elif len(texts) > 2 and len(set(texts)) == 1:
            cause = f"every summary of the policy is the same, {texts[0]!r:.60}"
        elif not np.isfinite(rewards).all():
            cause = "a reward is not a finite number"
        elif self.reward and len(texts) > 2 and not np.ptp(rewards, axis=0).any():
            cause = f"the reward is the same, {rewards[0, 0]:.4g}, for all {len(texts)} summaries"
        if cause:
            raise UserError(
                f"params.yaml: {self.context.where}: at step {step} {cause}; the last good state is kept in "
                f"{self.context.work.folder}; lower learning_rate, raise kl_coefficient, or check the reward's model."
            )


def _within(written: generation.Generated, limit: int) -> generation.Generated:
    """A sample as it would be with a lower limit: tokens are drawn one after the other."""
    if len(written.token_ids) <= limit:
        return written
    return generation.Generated(written.token_ids[:limit], True)
