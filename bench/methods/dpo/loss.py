"""DPO's loss on the Trainer: each row holds a dialogue with its chosen and its rejected summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from bench.core.blocks import TextConfig
from bench.lm import architectures, models, prompts
from bench.lm.models import Loaded
from bench.training.batches import Collator, Rows
from bench.training.preferences import Pair
from bench.training.trainer import LossTrainer


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute loss (B,) and reward margin (B,) of pairs from log-probabilities of whole summaries (B,): Rafailov 2023, eq. 7."""
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return -F.logsigmoid(margin), margin.detach()


def pair_logprobs(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Compute log-probabilities (B, 2) of the chosen and the rejected summary: `labels` (B, 2, T) of sources (B, S)."""
    batch = models.Batch(inputs["input_ids"], inputs["attention_mask"], inputs["labels"].flatten(0, 1))
    logits = architectures.of(model).logits(model, batch, each=2)
    return models.token_logprobs(logits, batch.labels)[0].sum(-1).unflatten(0, (-1, 2))


@torch.no_grad()
def preference_rows(
    start: Loaded, pairs: Sequence[Pair], text: TextConfig, batch_size: int, precision: str = "float32"
) -> Rows:
    """Encode each pair, with the start's log-probabilities of both summaries in the training's precision."""
    rows: list[dict[str, Any]] = [
        {
            "input_ids": prompts.encode_source(start.tokenizer, pair.source, text)[0],
            "chosen": list(pair.chosen_ids),
            "rejected": list(pair.rejected_ids),
        }
        for pair in pairs
    ]
    collate = preference_collator(int(start.tokenizer.pad_token_id))
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        inputs = collate([row | {"reference": (0.0, 0.0)} for row in part])
        with torch.autocast(start.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            both = pair_logprobs(start.model, {key: value.to(start.device) for key, value in inputs.items()})
        for row, logprobs in zip(part, both.tolist(), strict=True):
            row["reference"] = tuple(logprobs)
    return rows


def preference_collator(pad: int) -> Collator:
    """Make the collator of pairs: `labels` (B, 2, T) holds the chosen and the rejected summary, `reference` is (B, 2)."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        targets = [row[which] for row in rows for which in ("chosen", "rejected")]
        batch = models.collate([row["input_ids"] for row in rows], targets, pad, "cpu")
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "labels": batch.labels.unflatten(0, (-1, 2)),
            "reference": torch.tensor([row["reference"] for row in rows]),
        }

    return collate


class PreferenceTrainer(LossTrainer):
    """DPO's loss, a mean over pairs; logs the share of pairs ranked rightly and the mean margin."""

    def __init__(self, *args: Any, beta: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beta = beta
        self.seen: list[torch.Tensor] = []

    def units(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Count the pairs, ()."""
        return torch.tensor(len(inputs["reference"]))

    def loss_sum(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum DPO's loss over the pairs. One autocast round both passes: the Trainer's own is round the whole only."""
        model.eval()  # the Trainer switches dropout on before every step
        with self.accelerator.autocast():
            both = pair_logprobs(model, inputs)
        reference = inputs["reference"]
        loss, margin = dpo_loss(both[:, 0], both[:, 1], reference[:, 0], reference[:, 1], self.beta)
        self.seen.append(margin)
        return loss.sum()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add accuracy and margin since the last log."""
        if "loss" in logs and self.seen:
            margins = torch.cat(self.seen)
            logs |= {"accuracy": float((margins > 0).float().mean()), "margin": float(margins.mean())}
            self.seen = []
        super().log(logs, *args, **kwargs)
