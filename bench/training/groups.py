"""Samples of one dialogue held against each other, in place of a critic. Rewards (B,): groups stand one after the other."""

from __future__ import annotations

import torch

from bench.core.schema import UserError

EPSILON = 1e-4  # keeps a group without spread finite; trl's number


def relative(rewards: torch.Tensor, size: int, scale: str) -> torch.Tensor:
    """Compute rewards less their group's mean, (B,), over the standard deviation (Bessel's) of the `group`, the `batch` or `none`.

    Shao et al. 2024, section 4.1.2; without the deviation Liu et al. 2025 (Dr. GRPO).
    """
    each = rewards.view(-1, size)
    centred = each - each.mean(1, keepdim=True)
    if scale == "none":
        return centred.flatten()
    deviation = each.std(1, keepdim=True) if scale == "group" else rewards.std()
    return (centred / (deviation + EPSILON)).flatten()


def leave_one_out(rewards: torch.Tensor, size: int) -> torch.Tensor:
    """Compute rewards less the mean of the others of their group, (B,) (Ahmadian et al. 2024, equation 6)."""
    each = rewards.view(-1, size)
    return (each - (each.sum(1, keepdim=True) - each) / (size - 1)).flatten()


def refuse_without_spread(where: str, rewards: torch.Tensor, size: int, step: int) -> None:
    """End a training in which no group says which of its summaries is the better one.

    Raises:
        UserError: within each group all rewards are the same.
    """
    each = rewards.view(-1, size)
    if bool((each.amax(1) == each.amin(1)).all()):
        raise UserError(
            f"params.yaml: {where}: at step {step} the {size} summaries of each dialogue have one reward, so nothing can be "
            "learnt; raise group_size or reward.cap, or check the reward's model."
        )
