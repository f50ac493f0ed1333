"""DPO's loss on Seq2SeqTrainer: one encoder pass serves the chosen and the rejected summary of a dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from transformers import Seq2SeqTrainer
from transformers.modeling_outputs import BaseModelOutput

from bench import models
from bench.models import Batch, Loaded
from bench.schema import TextConfig
from bench.training.preferences import Pair
from bench.training.trainer import Collator, Rows


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss a pair (B,) and reward margin (B,) from log-probabilities of whole summaries (B,): Rafailov 2023, eq. 7."""
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return -F.logsigmoid(margin), margin.detach()


def pair_logprobs(model: Any, batch: Batch) -> torch.Tensor:
    """Log-probability (2B,) of each target; rows B.. of `labels` belong to the same sources as rows ..B."""
    hidden = model.get_encoder()(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    out = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=torch.cat([hidden, hidden])),
        attention_mask=torch.cat([batch.attention_mask, batch.attention_mask]),
        labels=batch.labels,
    )
    return models.token_logprobs(out.logits, batch.labels)[0].sum(-1)


@torch.no_grad()
def preference_rows(start: Loaded, pairs: Sequence[Pair], text: TextConfig, batch_size: int) -> Rows:
    """Token ids of each pair with the start's log-probabilities of both summaries."""
    rows: list[dict[str, Any]] = [
        {
            "input_ids": models.encode_source(start.tokenizer, pair.source, text)[0],
            "chosen": list(pair.chosen_ids),
            "rejected": list(pair.rejected_ids),
        }
        for pair in pairs
    ]
    collate = preferences_collator(int(start.tokenizer.pad_token_id))
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        both = pair_logprobs(
            start.model, as_batch(collate([row | {"reference": (0.0, 0.0)} for row in part]), start.device)
        )
        for row, chosen, rejected in zip(part, both[: len(part)].tolist(), both[len(part) :].tolist(), strict=True):
            row["reference"] = (chosen, rejected)
    return rows


def preferences_collator(pad: int) -> Collator:
    """Chosen summaries first, rejected after them, in one padded `labels`; `reference` is (B, 2)."""

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        targets = [row["chosen"] for row in rows] + [row["rejected"] for row in rows]
        batch = models.collate([row["input_ids"] for row in rows], targets, pad, "cpu")
        return {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "labels": batch.labels,
            "reference": torch.tensor([row["reference"] for row in rows]),
        }

    return collate


def as_batch(inputs: dict[str, torch.Tensor], device: torch.device) -> Batch:
    """The collator's tensors on a device."""
    return Batch(*(inputs[key].to(device) for key in ("input_ids", "attention_mask", "labels")))


class PreferenceTrainer(Seq2SeqTrainer):
    """Seq2SeqTrainer with DPO's loss; logs the share of pairs ranked rightly and the mean margin."""

    beta = 0.1

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[torch.Tensor] = []
        self.model_accepts_loss_kwargs = False  # the loss is a mean over pairs: let the Trainer average pieces

    @classmethod
    def with_beta(cls, beta: float) -> type[PreferenceTrainer]:
        """The class with its one setting."""
        return type(cls.__name__, (cls,), {"beta": beta})

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool = False, **_: Any
    ) -> Any:
        """Mean DPO loss of the batch."""
        model.eval()  # the Trainer switches dropout on before every step
        both = pair_logprobs(model, as_batch(inputs, next(model.parameters()).device))
        chosen, rejected = both.chunk(2)
        reference = inputs["reference"].to(both.device)
        loss, margin = dpo_loss(chosen, rejected, reference[:, 0], reference[:, 1], self.beta)
        self.seen.append(margin)
        return (loss.mean(), both) if return_outputs else loss.mean()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add accuracy and margin since the last log."""
        if "loss" in logs and self.seen:
            margins = torch.cat(self.seen)
            logs |= {"accuracy": float((margins > 0).float().mean()), "margin": float(margins.mean())}
            self.seen = []
        super().log(logs, *args, **kwargs)
