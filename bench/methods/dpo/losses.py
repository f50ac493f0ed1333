"""The losses of learning from pairs, on log-probabilities of whole summaries; each by its paper's equation.

B pairs; of each the log-probability of the chosen and of the rejected summary, a sum over its tokens, and their numbers of
tokens, which end with the end-of-sequence token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Pairs:
    """Log-probabilities (B, 2) of the chosen and the rejected summaries by the policy and by its start; lengths (B, 2)."""

    policy: torch.Tensor
    reference: torch.Tensor
    lengths: torch.Tensor

    @property
    def gains(self) -> torch.Tensor:
        """The log-ratios to the start, (B, 2)."""
        return self.policy - self.reference


def sigmoid(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute DPO's loss (Rafailov et al. 2023, eq. 7): -log sigmoid of beta times the difference of the log-ratios."""
    margin = beta * _difference(pairs.gains)
    return -F.logsigmoid(margin), margin


def length_normalised(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the same of log-ratios a token (Lambert et al. 2024, Tülu 3, section 5.1.2)."""
    margin = beta * _difference(pairs.gains / pairs.lengths)
    return -F.logsigmoid(margin), margin


def ipo(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute IPO's squared distance to 1 / (2 beta) (Azar et al. 2023, eq. 17), of log-ratios a token, as its authors ran it."""
    gap = _difference(pairs.gains / pairs.lengths)
    return (gap - 1 / (2 * beta)) ** 2, gap


def simpo(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute SimPO's loss (Meng et al. 2024, eq. 6): beta times log-probabilities a token, without a start, less gamma."""
    margin = beta * _difference(pairs.policy / pairs.lengths)
    return -F.logsigmoid(margin - gamma), margin


def orpo(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute ORPO's loss (Hong et al. 2024, eq. 6): the chosen's cross-entropy, and beta times the log odds ratio's."""
    each = pairs.policy / pairs.lengths
    odds = each - torch.log1p(-each.exp().clamp(max=1 - 1e-7))
    ratio = _difference(odds)
    return -each[:, 0] - beta * F.logsigmoid(ratio), ratio


def kto(pairs: Pairs, beta: float, gamma: float, kl: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute KTO's loss (Ethayarajh et al. 2024, eq. 8), equal weights, of the chosen and the rejected each by itself.

    `kl` () estimates the policy's KL to its start: a mean log-ratio of summaries of other dialogues, at least 0.
    """
    wanted, unwanted = (beta * (pairs.gains - kl)).unbind(1)
    return (1 - torch.sigmoid(wanted)) + (1 - torch.sigmoid(-unwanted)), beta * _difference(pairs.gains)


Loss = Callable[[Pairs, float, float, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
LOSSES: dict[str, Loss] = {
    "sigmoid": sigmoid,
    "length_normalised": length_normalised,
    "ipo": ipo,
    "simpo": simpo,
    "orpo": orpo,
    "kto": kto,
}
WITHOUT_START = ("simpo", "orpo")


def _difference(values: torch.Tensor) -> torch.Tensor:
    """Chosen less rejected, (B, 2) -> (B,)."""
    return values[:, 0] - values[:, 1]
