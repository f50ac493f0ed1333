"""Llama, GPT-2 and their like: one sequence holds the prompt and the summary that goes on from it.

Prompts are padded on the left here, so that they all end in the same column and every target stands in the columns
after it; the position ids are counted by the mask, so padding changes nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from bench.core import untrusted
from bench.core.schema import UserError
from bench.lm.architectures.interface import (
    IGNORE_INDEX,
    Architecture,
    Batch,
    DecodeState,
    Positions,
    collate,
    loss_of_targets,
)

NEEDED = ("position_ids", "logits_to_keep", "past_key_values")


class DecoderOnly(Architecture):
    """peft drops position ids for its prompt learners, whose figures would then depend on the padding."""

    auto_class, peft_task, supports_prompt_learning = AutoModelForCausalLM, "CAUSAL_LM", False

    def prepare(self, folder: Path, tokenizer: Any, model: Any) -> None:
        """Check for position ids, a cache and logits of the last columns; refuse a tokenizer that ends what it reads."""
        lacking = [name for name in NEEDED if name not in inspect.signature(type(model).forward).parameters]
        if lacking:
            raise UserError(
                f"{folder}: '{model.config.model_type}' takes no {lacking[0]}, without which padding would change its "
                "figures; name a model such as SmolLM2, Llama, Qwen or GPT-2."
            )
        if tokenizer.pad_token_id is None:  # common here, and any token will do where the mask is 0
            tokenizer.pad_token = tokenizer.eos_token
        if tokenizer("a")["input_ids"][-1:] == [tokenizer.eos_token_id]:
            raise UserError(
                f"{folder}/tokenizer_config.json: add_eos_token: the tokenizer ends every text, and a prompt has to go "
                f"on; {untrusted.AT_THE_SOURCE}, with add_eos_token: false."
            )

    def positions(self, model: Any) -> Positions:
        """Look up the one table that prompt and summary share."""
        return Positions(together=getattr(model.config.get_text_config(), "max_position_embeddings", None))

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Compute cross-entropy over the targets alone: the prompt is given."""
        return loss_of_targets(model, batch.labels, lambda: self.logits(model, batch))

    def logits(self, model: Any, batch: Batch, each: int = 1) -> torch.Tensor:
        """Compute the logits of targets that each have the prompt in front of them."""
        return self._forward(model, batch, each).logits

    def logits_and_states(self, model: Any, batch: Batch, each: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the logits with the states in the columns that predict the targets."""
        out = self._forward(model, batch, each, output_hidden_states=True)
        return out.logits, out.hidden_states[-1][:, -batch.labels.shape[1] :]

    def start_decoding(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> DecodeState:
        """Make the state whose first step reads the prompts."""
        return _State(model, collate(sources, [[0]] * len(sources), pad, next(model.parameters()).device))

    def _forward(self, model: Any, batch: Batch, each: int = 1, **extra: Any) -> Any:
        """The last target is predicted and never read: prompt and targets are S + T - 1 columns, logits the last T."""
        prompt, mask = (one.repeat_interleave(each, 0) for one in _to_the_right(batch))
        targets = batch.labels[:, :-1]
        mask = torch.cat([mask, (targets != IGNORE_INDEX).long()], 1)
        return model(
            input_ids=torch.cat([prompt, targets.clamp_min(0)], 1),
            attention_mask=mask,
            position_ids=_positions(mask),
            logits_to_keep=batch.labels.shape[1],
            use_cache=False,
            **extra,
        )


def _to_the_right(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources and mask (B, S) with the padding on the left."""
    width = batch.attention_mask.shape[1]
    columns = torch.arange(width, device=batch.attention_mask.device)
    index = (columns + batch.attention_mask.sum(1, keepdim=True)) % width
    return batch.input_ids.gather(1, index), batch.attention_mask.gather(1, index)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token among those of its row that are not padding, (B, S)."""
    return (mask.cumsum(-1) - 1).clamp_min(0)


class _State(DecodeState):
    def __init__(self, model: Any, batch: Batch) -> None:
        self.model, self.cache = model, None
        self.prompt, self.mask = _to_the_right(batch)

    def step(self, last: torch.Tensor | None) -> torch.Tensor:
        if last is None:
            last = self.prompt
        else:
            self.mask = torch.cat([self.mask, torch.ones_like(last)], 1)
        found = self.model(
            input_ids=last,
            attention_mask=self.mask,
            position_ids=_positions(self.mask)[:, -last.shape[1] :],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache = found.past_key_values
        return found.logits[:, -1]

    def select(self, rows: torch.Tensor) -> None:
        self.cache.batch_select_indices(rows)  # type: ignore[attr-defined]
        self.mask = self.mask[rows]
