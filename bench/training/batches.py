"""Which examples make which batch of a training, and how a batch of them is padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bench.lm import models

Row = dict[str, Any]
Rows = Sequence[Row]
Collator = Callable[[list[Row]], dict[str, torch.Tensor]]
WINDOW = 50  # batches among which examples of like length are brought together


class OrderedDataset(torch.utils.data.Dataset[Row]):
    """Rows in the order in which training takes them, from the first step to the last."""

    def __init__(self, rows: Rows, order: Sequence[int]) -> None:
        self.rows, self.order = rows, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Row:
        return self.rows[self.order[index]]

    def tokens(self) -> int:
        """Count source and target tokens, padding not counted."""
        sizes = [sum(len(value) for value in row.values() if isinstance(value, list)) for row in self.rows]
        return sum(sizes[index] for index in self.order)


def batch_order(lengths: Sequence[int], batch_size: int, steps: int, seed: int) -> list[int]:
    """Order the examples of `steps` batches: (steps * batch_size,) indices.

    Pass after pass over a shuffled set, every step a full batch. Within a window of batches, examples of like length
    share a batch, which spares padding, and the batches are shuffled. The whole order is known before the first step:
    a training that goes on after a crash needs no sampler's state, and any number of processes sees the same batches.
    """
    rng, stream = np.random.default_rng(seed), list[int]()
    while len(stream) < steps * batch_size:
        stream += rng.permutation(len(lengths)).tolist()
    order: list[int] = []
    for first in range(0, steps * batch_size, WINDOW * batch_size):
        window = sorted(stream[first : min(first + WINDOW * batch_size, steps * batch_size)], key=lengths.__getitem__)
        batches = [window[at : at + batch_size] for at in range(0, len(window), batch_size)]
        order += [index for at in rng.permutation(len(batches)) for index in batches[at]]
    return order


def supervised_collator(pad: int) -> Collator:
    """Make the collator of supervised rows: `input_ids` and `labels` -> a padded batch."""

    def collate(rows: list[Row]) -> dict[str, torch.Tensor]:
        batch = models.collate([row["input_ids"] for row in rows], [row["labels"] for row in rows], pad, "cpu")
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}

    return collate
