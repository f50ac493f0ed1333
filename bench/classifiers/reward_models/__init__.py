"""Reward models: one number for a summary of a dialogue. What each form offers to training and scoring.

Shapes: B dialogues, K summaries of each. `writing` reads it off models that write, `classifying` off sequence classifiers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

from bench.lm import batching, memory
from bench.lm.models import Loaded

Row = dict[str, Any]
Inputs = dict[str, torch.Tensor]


class RewardModel(ABC):
    """A module that is trained, and how texts become what it reads."""

    module: torch.nn.Module
    loaded: Loaded

    @abstractmethod
    def encode(self, source: str, summaries: Sequence[str]) -> Row:
        """Encode a dialogue with its K summaries; `input_ids` by whose length batches are formed is among the fields."""

    @abstractmethod
    def collate(self, rows: Sequence[Row]) -> Inputs:
        """Pad rows of K summaries each; every tensor has B rows."""

    @abstractmethod
    def rewards(self, module: Any, inputs: Inputs) -> torch.Tensor:
        """Compute the rewards, (B, K)."""

    def prepared(self, rows: list[Row], batch_size: int) -> list[Row]:
        """Add to rows what training needs and does not change, such as a frozen start's figures."""
        return rows

    @abstractmethod
    def save(self, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Write models/<name>; returns the manifest."""

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[str, str]], name: str) -> torch.Tensor:
        """Compute the rewards of (dialogue, summary), float64 (n,)."""
        rows = [self.encode(source, [summary]) for source, summary in pairs]
        lengths = [sum(len(part) for part in _lists(row)) for row in rows]
        out, parts = torch.empty(len(rows), dtype=torch.float64), memory.Parts(f"{name}: rewards")
        device = self.loaded.device

        def logits(part: Sequence[int]) -> list[torch.Tensor]:
            inputs = {key: value.to(device) for key, value in self.collate([rows[i] for i in part]).items()}
            return list(self.rewards(self.module, inputs)[:, 0].double().cpu())

        for part in batching.by_length(lengths, batching.TOKENS[device.type]):
            out[part] = torch.stack(parts.run(part, logits))
        return out


def _lists(row: Row) -> list[list[int]]:
    held = [value for value in row.values() if isinstance(value, list)]
    return [part for value in held for part in (value if value and isinstance(value[0], list) else [value])]
