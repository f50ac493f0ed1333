"""GRPO on the shared online loop: advantages within groups, a clipped ratio, the KL in the loss."""

from __future__ import annotations

import torch

from bench.lm import models
from bench.methods.grpo import Config
from bench.training import groups
from bench.training.online import OnlineLearner
from bench.training.rollouts import Rollout, Tensors, kl_penalty


class Learner(OnlineLearner):
    """Group relative policy optimisation."""

    config: Config

    def targets(self, rollout: Rollout) -> Tensors:
        """Compute each summary's advantage, (B,)."""
        groups.refuse_without_spread(
            self.context.where, rollout.shaped_rewards, self.config.group_size, len(self.curve)
        )
        return {"advantage": groups.relative(rollout.shaped_rewards, self.config.group_size, self.config.scale_rewards)}

    def units(self, rollout: Rollout) -> torch.Tensor:
        """Count tokens for `dapo`, summaries for the others."""
        return rollout.mask.sum() if self.config.loss == "dapo" else torch.tensor(float(len(rollout.mask)))

    def loss(
        self, logits: torch.Tensor, extras: Tensors, rollout: Rollout, targets: Tensors
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the clipped loss with its KL (equation 3, k3 of equation 4)."""
        config, mask = self.config, rollout.mask
        logprobs, _ = models.token_logprobs(logits, rollout.batch.labels)
        policy, clipped = clipped_loss(
            logprobs, rollout.logprobs, targets["advantage"], config.clip, config.clip_high or config.clip
        )
        kl = kl_penalty("k3", logprobs, rollout.reference)
        each = policy + self.kl.coefficient * kl
        tokens = mask.sum()
        return self.averaged(each, mask), {
            "policy_loss": float(self.averaged(policy.detach(), mask)),
            "clip_fraction": float((clipped * mask).sum() / tokens),
        }

    def averaged(self, each: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Make one number of a loss a token (B, T), as `loss` says."""
        if self.config.loss == "dapo":
            return (each * mask).sum() / mask.sum()
        lengths = mask.sum(1) if self.config.loss == "grpo" else float(self.config.longest)
        return ((each * mask).sum(1) / lengths).mean()


def clipped_loss(
    logprobs: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, low: float, high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the clipped policy loss a token and where it was clipped, (B, T) each; `advantage` is (B,)."""
    ratio = torch.exp(logprobs - old)
    plain = -advantage.unsqueeze(1) * ratio
    bounded = -advantage.unsqueeze(1) * ratio.clamp(1 - low, 1 + high)
    return torch.max(plain, bounded), (bounded > plain).float()
