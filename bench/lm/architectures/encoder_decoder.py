"""T5, BART and their like: an encoder reads the dialogue once, a decoder writes the summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from transformers import AutoModelForSeq2SeqLM
from transformers.modeling_outputs import BaseModelOutput

from bench.core import untrusted
from bench.lm import batching
from bench.lm.architectures.interface import Architecture, Batch, DecodeState, collate, loss_of_targets

# Settings of models whose loss is more than the next token's: ProphetNet's n-grams, the routers of a mixture of experts.
OWN_LOSS = ("ngram", "router_aux_loss_coef")


class EncoderDecoder(Architecture):
    """transformers makes the decoder's input of the labels."""

    auto_class, peft_task, supports_prompt_learning = AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM", True

    def prepare(self, folder: Path, tokenizer: Any, model: Any) -> None:
        """Check that the model names the token that summaries start with."""
        untrusted.check_decoder_start(folder, model)

    def max_positions(self, model: Any) -> int | None:
        """Return None: each side of the model has its own positions."""
        return None

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Compute cross-entropy over the targets; the decoder's input is made of them as transformers makes it."""
        inner = extract_model_from_parallel(model)
        shift = getattr(inner, "prepare_decoder_input_ids_from_labels", None)  # M2M100 and Blenderbot have none
        # peft makes its prompts by what it is given.
        prompts = getattr(getattr(inner, "active_peft_config", None), "is_prompt_learning", False)
        if shift is None or prompts or any(hasattr(inner.config, name) for name in OWN_LOSS):
            return self._forward(model, batch).loss
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        shifted = shift(batch.labels)
        return loss_of_targets(model, batch.labels, lambda: model(**inputs, decoder_input_ids=shifted).logits)

    def logits(self, model: Any, batch: Batch, each: int = 1) -> torch.Tensor:
        """Compute the logits with one encoder pass for all targets of a source."""
        if each == 1:
            return self._forward(model, batch).logits
        mask = batch.attention_mask
        # Several processes wrap the model, for the decoder's pass.
        encoder = extract_model_from_parallel(model).get_encoder()
        hidden = encoder(input_ids=batch.input_ids, attention_mask=mask).last_hidden_state
        return model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden.repeat_interleave(each, 0)),
            attention_mask=mask.repeat_interleave(each, 0),
            labels=batch.labels,
        ).logits

    def logits_and_states(self, model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the logits with the decoder's states."""
        out = self._forward(model, batch, output_hidden_states=True)
        return out.logits, out.decoder_hidden_states[-1]

    def start_decoding(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> DecodeState:
        """Encode the sources in batches of like length."""
        return _State(model, sources, pad)

    def _forward(self, model: Any, batch: Batch, **extra: Any) -> Any:
        return model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels, **extra)


class _State(DecodeState):
    def __init__(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> None:
        self.model, self.cache = model, None
        self.hidden, self.mask = _encode(model, sources, pad)

    def step(self, last: torch.Tensor | None) -> torch.Tensor:
        if last is None:
            first = int(self.model.generation_config.decoder_start_token_id)
            last = torch.full((len(self.hidden), 1), first, device=self.hidden.device)
        found = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.hidden),
            attention_mask=self.mask,
            decoder_input_ids=last,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = found.past_key_values
        return found.logits[:, -1]

    def repeat_interleave(self, times: int) -> None:
        self.cache.batch_repeat_interleave(times)  # type: ignore[attr-defined]
        self.hidden, self.mask = (one.repeat_interleave(times, 0) for one in (self.hidden, self.mask))

    def select(self, rows: torch.Tensor) -> None:
        self.cache.batch_select_indices(rows)  # type: ignore[attr-defined]
        self.hidden, self.mask = self.hidden[rows], self.mask[rows]


def _encode(model: Any, sources: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoder's last hidden states (B, S, D) and their mask (B, S); each source is encoded once."""
    lengths, device = [len(source) for source in sources], next(model.parameters()).device
    mask = collate([[1] * length for length in lengths], [[0]] * len(sources), 0, device).input_ids
    hidden = None
    for part in batching.by_length(lengths, batching.TOKENS[device.type]):
        batch = collate([sources[i] for i in part], [[0]] * len(part), pad, device)
        states = model.get_encoder()(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        if hidden is None:
            hidden = states.new_zeros(*mask.shape, states.shape[-1])
        hidden[part, : states.shape[1]] = states
    assert hidden is not None
    return hidden, mask
