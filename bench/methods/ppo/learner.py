"""PPO on the shared online loop: a value head, generalised advantages, clipped losses."""

from __future__ import annotations

import torch

from bench.lm import architectures, models
from bench.lm.models import Batch
from bench.methods.ppo import Config, equations
from bench.training.online import OnlineLearner
from bench.training.rollouts import Rollout, Tensors


class PolicyWithValue(torch.nn.Module):
    """The language model and a linear value head on its last hidden states. The head starts at 0."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        # What the head reads: OPT projects its states to another width before it.
        width = model.get_output_embeddings().weight.shape[1]  # type: ignore[operator]
        self.value_head = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute logits (B, T, V) and values (B, T) at every target token."""
        logits, states = architectures.of(self.model).logits_and_states(self.model, batch)
        return logits, self.value_head(states).squeeze(-1)


class Learner(OnlineLearner):
    """Proximal policy optimisation: the reward stands at the last token, the KL penalty at every token."""

    config: Config

    def actor_of(self, model: torch.nn.Module) -> torch.nn.Module:
        """Put the value head on the policy."""
        return PolicyWithValue(model)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Tensors]:
        """Compute logits and the critic's values."""
        logits, values = self.actor(batch)
        return logits, {"values": values}

    def targets(self, rollout: Rollout) -> Tensors:
        """Compute whitened advantages and returns, (B, T) each."""
        config = self.config
        rewards = equations.token_rewards(rollout.shaped_rewards, rollout.kl, rollout.mask, self.kl.coefficient)
        advantage, returns = equations.advantages(
            rewards, rollout.extras["values"], rollout.mask, config.gamma, config.gae_lambda, config.whiten_rewards
        )
        return {"advantage": advantage, "returns": returns}

    def loss(
        self, logits: torch.Tensor, extras: Tensors, rollout: Rollout, targets: Tensors
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the clipped policy loss plus the weighted value loss less the weighted entropy."""
        config = self.config
        logprobs, _ = models.token_logprobs(logits, rollout.batch.labels)
        losses = equations.losses(
            logprobs,
            rollout.logprobs,
            extras["values"].float(),
            rollout.extras["values"],
            targets["advantage"],
            targets["returns"],
            rollout.mask,
            config.clip,
            config.clip_value,
        )
        entropy = equations.masked_mean(equations.entropy(logits), rollout.mask)
        return losses.policy + config.value_weight * losses.value - config.entropy_weight * entropy, {
            "policy_loss": float(losses.policy),
            "value_loss": float(losses.value),
            "entropy": float(entropy),
            "approx_kl": losses.approx_kl,
            "clip_fraction": losses.clip_fraction,
            "value_clip_fraction": losses.value_clip_fraction,
        }
