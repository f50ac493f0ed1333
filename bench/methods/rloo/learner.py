"""RLOO on the shared online loop: leave-one-out advantages of whole summaries, the KL in the reward."""

from __future__ import annotations

import torch

from bench.lm import models
from bench.methods.rloo import Config
from bench.training import groups
from bench.training.online import OnlineLearner
from bench.training.rollouts import Rollout, Tensors


class Learner(OnlineLearner):
    """REINFORCE leave-one-out."""

    config: Config

    def targets(self, rollout: Rollout) -> Tensors:
        """Compute each summary's advantage, (B,), of its reward less the weighted KL of its tokens."""
        groups.refuse_without_spread(
            self.context.where, rollout.shaped_rewards, self.config.group_size, len(self.curve)
        )
        rewards = rollout.shaped_rewards - self.kl.coefficient * rollout.kl.sum(1)
        return {"advantage": groups.leave_one_out(rewards, self.config.group_size)}

    def units(self, rollout: Rollout) -> torch.Tensor:
        """Count summaries."""
        return torch.tensor(float(len(rollout.mask)))

    def loss(
        self, logits: torch.Tensor, extras: Tensors, rollout: Rollout, targets: Tensors
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the clipped loss of whole summaries."""
        logprobs, _ = models.token_logprobs(logits, rollout.batch.labels)
        loss, clipped = sequence_loss(logprobs, rollout.logprobs, targets["advantage"], rollout.mask, self.config.clip)
        return loss, {"policy_loss": float(loss), "clip_fraction": float(clipped)}


def sequence_loss(
    logprobs: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, mask: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the loss (), a mean over summaries, and the share of them that was clipped; log-probabilities are (B, T)."""
    ratio = torch.exp(((logprobs - old) * mask).sum(1))
    plain, bounded = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
    return torch.max(plain, bounded).mean(), (bounded > plain).float().mean()
