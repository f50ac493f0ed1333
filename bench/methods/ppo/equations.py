"""The equations of PPO on text: rewards, advantages, losses. Tensors in, tensors out.

Shapes: B sequences, T tokens, V vocabulary. `mask` is 1 on generated tokens, end-of-sequence included. Sources:
Schulman et al. 2017 (PPO), Schulman et al. 2016 (GAE), Ziegler et al. 2019 (KL-penalised reward).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average the masked-in entries of the whole batch."""
    return (values * mask).sum() / mask.sum()


def whiten(values: torch.Tensor, mask: torch.Tensor, shift_mean: bool = True) -> torch.Tensor:
    """Scale the masked-in entries to unit variance (Bessel's), and zero mean unless `shift_mean` is False."""
    mean, count = masked_mean(values, mask), mask.sum()
    variance = masked_mean((values - mean) ** 2, mask) * count / (count - 1)
    white = (values - mean) * torch.rsqrt(variance + 1e-8)
    return white if shift_mean else white + mean


def token_rewards(scores: torch.Tensor, kl: torch.Tensor, mask: torch.Tensor, coefficient: float) -> torch.Tensor:
    """Compute rewards (B, T): minus the KL penalty at every token, plus the sequence's score (B,) at its last one."""
    rewards = -coefficient * kl
    last = mask.shape[1] - 1 - mask.long().flip(1).argmax(1)
    return rewards.scatter_add(1, last.unsqueeze(1), scores.to(rewards.dtype).unsqueeze(1))


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    gamma: float,
    lam: float,
    whiten_rewards: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate generalised advantages: whitened advantages and returns, both (B, T)."""
    rewards, values = rewards * mask, values * mask
    if whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    following, steps = torch.zeros_like(values[:, 0]), []
    for t in reversed(range(rewards.shape[1])):
        after = values[:, t + 1] if t + 1 < rewards.shape[1] else 0.0
        following = rewards[:, t] + gamma * after - values[:, t] + gamma * lam * following
        steps.append(following)
    raw = torch.stack(steps[::-1], 1)
    return whiten(raw, mask), raw + values


@dataclass(frozen=True)
class Loss:
    """Policy and value loss (scalars with gradients) and what is logged of them."""

    policy: torch.Tensor
    value: torch.Tensor
    approx_kl: float
    clip_fraction: float
    value_clip_fraction: float


def losses(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    values: torch.Tensor,
    old_values: torch.Tensor,
    advantage: torch.Tensor,
    returns: torch.Tensor,
    mask: torch.Tensor,
    clip: float,
    clip_value: float,
) -> Loss:
    """Compute the clipped policy loss and the clipped value loss, each a mean over generated tokens."""
    bounded = torch.max(torch.min(values, old_values + clip_value), old_values - clip_value)
    error, bounded_error = (values - returns) ** 2, (bounded - returns) ** 2
    ratio = torch.exp(logprobs - old_logprobs)
    plain, clipped = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
    return Loss(
        policy=masked_mean(torch.max(plain, clipped), mask),
        value=0.5 * masked_mean(torch.max(error, bounded_error), mask),
        approx_kl=float(0.5 * masked_mean((logprobs.detach() - old_logprobs) ** 2, mask)),
        clip_fraction=float(masked_mean((clipped > plain).float(), mask)),
        value_clip_fraction=float(masked_mean((bounded_error > error).float(), mask)),
    )


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Compute the entropy of the next-token distribution (B, T), nats."""
    logprobs = logits.float().log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)
