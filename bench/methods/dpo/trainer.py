"""The losses of pairs on the Trainer: each row holds a dialogue with its chosen and its rejected summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.core.blocks import ComputeConfig, TextConfig
from bench.lm import architectures, models, prompts
from bench.lm.models import Loaded
from bench.methods.dpo import losses
from bench.training import passes
from bench.training.batches import Collator, Rows
from bench.training.preferences import Pair
from bench.training.trainer import LossTrainer


def summary_logprobs(model: Any, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute log-probabilities and lengths (B, K) of the K summaries of each source: `labels` (B, K, T) of sources (B, S)."""
    each = inputs["labels"].shape[1]
    batch = models.Batch(inputs["input_ids"], inputs["attention_mask"], inputs["labels"].flatten(0, 1))
    logits = architectures.of(model).logits(model, batch, each=each)
    logprobs, mask = models.token_logprobs(logits, batch.labels)
    return logprobs.sum(-1).unflatten(0, (-1, each)), mask.sum(-1).unflatten(0, (-1, each))


@torch.no_grad()
def preference_rows(
    start: Loaded,
    pairs: Sequence[Pair],
    text: TextConfig,
    batch_size: int,
    compute: ComputeConfig,
    loss: str = "sigmoid",
) -> Rows:
    """Encode each pair, with the start's log-probabilities of its summaries, computed as training computes.

    For `kto` the next pair's chosen summary stands beside them: what the dialogue is not about.
    """
    rows: list[dict[str, Any]] = [
        {
            "input_ids": prompts.encode_source(start.tokenizer, pair.source, text).ids,
            "summaries": [list(pair.chosen_ids), list(pair.rejected_ids)],
        }
        for pair in pairs
    ]
    if loss == "kto":
        for row, other in zip(rows, [*pairs[1:], pairs[0]], strict=True):
            row["summaries"].append(list(other.chosen_ids))
    for row in rows:
        row["reference"] = (0.0,) * len(row["summaries"])
    if loss in losses.WITHOUT_START:
        return rows
    collate = preference_collator(int(start.tokenizer.pad_token_id))
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        inputs = {key: value.to(start.device) for key, value in collate(part).items()}
        with (
            passes.for_training(start.device, compute.compile),
            torch.autocast(start.device.type, torch.bfloat16, enabled=compute.precision == "bfloat16"),
        ):
            found, _ = summary_logprobs(start.model, inputs)
        for row, logprobs in zip(part, found.tolist(), strict=True):
            row["reference"] = tuple(logprobs)
    return rows


def preference_collator(pad: int) -> Collator:
    """Make the collator of pairs: `labels` (B, K, T) holds the summaries, the chosen one first, `reference` is (B, K)."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        targets = [summary for row in rows for summary in row["summaries"]]
        batch = models.collate([row["input_ids"] for row in rows], targets, pad, "cpu")
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "labels": batch.labels.unflatten(0, (len(rows), -1)),
            "reference": torch.tensor([row["reference"] for row in rows]),
        }

    return collate


class PreferenceTrainer(LossTrainer):
    """A loss of pairs, a mean over them; logs the share of pairs ranked rightly and the mean margin.

    KTO's estimate of the KL is over what is computed at once: with `accumulation` over a micro-batch.
    """

    def __init__(self, *args: Any, loss: str, beta: float, gamma: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss, self.beta, self.gamma = losses.LOSSES[loss], beta, gamma
        self.seen: list[torch.Tensor] = []

    def units(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Count the pairs, ()."""
        return torch.tensor(len(inputs["reference"]))

    def loss_sum(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum the loss over the pairs. One autocast round both passes: the Trainer's own is round the whole only."""
        model.eval()  # the Trainer switches dropout on before every step
        with self.accelerator.autocast():
            found, lengths = summary_logprobs(model, inputs)
        reference = inputs["reference"]
        kl = (found - reference)[:, 2:].detach().sum() / len(found)  # 0 where nothing stands there
        pairs = losses.Pairs(found[:, :2], reference[:, :2], lengths[:, :2])
        loss, margin = self.loss(pairs, self.beta, self.gamma, kl.clamp_min(0))
        self.seen.append(margin.detach())
        return loss.sum()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add accuracy and margin since the last log."""
        if "loss" in logs and self.seen:
            margins = torch.cat(self.seen)
            logs |= {"accuracy": float((margins > 0).float().mean()), "margin": float(margins.mean())}
            self.seen = []
        super().log(logs, *args, **kwargs)
