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
MOST = 8  # summaries of one dialogue in a row of a batch


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

    def prepared(self, rows: list[Row]) -> list[Row]:
        """Add to rows what training needs and does not change, such as a frozen start's figures."""
        return rows

    @abstractmethod
    def save(self, name: str, settings: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Write models/<name>; returns the manifest."""

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[str, str]], name: str) -> torch.Tensor:
        """Compute the rewards of (dialogue, summary), float64 (n,); a dialogue with several summaries is read once."""
        out, device = torch.empty(len(pairs), dtype=torch.float64), self.loaded.device
        parts = memory.Parts(f"{name}: rewards")
        for groups in _together([source for source, _ in pairs]):
            rows = [self.encode(pairs[group[0]][0], [pairs[i][1] for i in group]) for group in groups]

            def rewards(part: Sequence[int], rows: Sequence[Row] = rows) -> list[torch.Tensor]:
                inputs = {key: value.to(device) for key, value in self.collate([rows[i] for i in part]).items()}
                return list(self.rewards(self.module, inputs).double().cpu())

            lengths = [sum(len(part) for part in _lists(row)) for row in rows]
            for part in batching.by_length(lengths, batching.TOKENS[device.type]):
                for row, found in zip(part, parts.run(part, rewards), strict=True):
                    out[groups[row]] = found
        return out


def _together(sources: Sequence[str]) -> list[list[list[int]]]:
    """Group the numbers of equal sources, at most `MOST` in a group; groups of one size, which make a batch, in a list."""
    by_source: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        by_source.setdefault(source, []).append(number)
    by_size: dict[int, list[list[int]]] = {}
    for numbers in by_source.values():
        for first in range(0, len(numbers), MOST):
            group = numbers[first : first + MOST]
            by_size.setdefault(len(group), []).append(group)
    return list(by_size.values())


def _lists(row: Row) -> list[list[int]]:
    held = [value for value in row.values() if isinstance(value, list)]
    return [part for value in held for part in (value if value and isinstance(value[0], list) else [value])]
