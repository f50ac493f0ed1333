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
from bench.lm.architectures.interface import (
    IGNORE_INDEX,
    Architecture,
    Batch,
    DecodeState,
    Positions,
    collate,
    learns_prompts,
    loss_of_targets,
)
from bench.lm.shared_attention import SharedCrossAttention

# Settings of models whose loss is more than the next token's: ProphetNet's n-grams, the routers of a mixture of experts.
OWN_LOSS = ("ngram", "router_aux_loss_coef")


class EncoderDecoder(Architecture):
    """The decoder reads in training what it reads when it writes: its start token, then what came before.

    transformers' own shift of the labels begins with another token in mBART and its kin: the loss falls, and what is
    written then begins where training never did.
    """

    auto_class, peft_task, supports_prompt_learning = AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM", True

    def prepare(self, folder: Path, tokenizer: Any, model: Any) -> None:
        """Check that the model names the token that summaries start with."""
        untrusted.check_decoder_start(folder, model)

    def positions(self, model: Any) -> Positions:
        """Look up the table of each side: one number for both in BART's kind, two in LED's, none in T5's."""
        config, found = model.config, []
        for side in ("encoder", "decoder"):
            own = getattr(config, side, config)  # two models joined have a config each
            both = getattr(own, "max_position_embeddings", None)
            found.append(getattr(own, f"max_{side}_position_embeddings", both))
        return Positions(*found)

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Compute cross-entropy over the targets; a model whose loss is more than that computes its own."""
        inner = extract_model_from_parallel(model)
        if any(hasattr(inner.config, name) for name in OWN_LOSS) or learns_prompts(inner):
            return self._forward(model, batch, labels=batch.labels).loss
        return loss_of_targets(model, batch.labels, lambda: self._forward(model, batch).logits)

    def logits(self, model: Any, batch: Batch, each: int = 1) -> torch.Tensor:
        """Compute the logits with one encoder pass for all targets of a source."""
        return (self._forward(model, batch) if each == 1 else self._of_each(model, batch, each)).logits

    def logits_and_states(self, model: Any, batch: Batch, each: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the logits with the decoder's states."""
        extra = {"output_hidden_states": True}
        out = self._forward(model, batch, **extra) if each == 1 else self._of_each(model, batch, each, **extra)
        return out.logits, out.decoder_hidden_states[-1]

    def _of_each(self, model: Any, batch: Batch, each: int, **extra: Any) -> Any:
        mask = batch.attention_mask
        # Several processes wrap the model, for the decoder's pass.
        encoder = extract_model_from_parallel(model).get_encoder()
        hidden = encoder(input_ids=batch.input_ids, attention_mask=mask).last_hidden_state
        return model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden.repeat_interleave(each, 0)),
            attention_mask=mask.repeat_interleave(each, 0),
            decoder_input_ids=_shifted(model, batch.labels),
            use_cache=False,
            **extra,
        )

    def start_decoding(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> DecodeState:
        """Encode the sources in batches of like length."""
        return _State(model, sources, pad)

    def _forward(self, model: Any, batch: Batch, **extra: Any) -> Any:
        if not learns_prompts(extract_model_from_parallel(model)):  # which may stand in the cache
            extra["use_cache"] = False
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        return model(**inputs, decoder_input_ids=_shifted(model, batch.labels), **extra)


def _first(model: Any) -> int:
    """The token that a summary starts after."""
    return int(model.generation_config.decoder_start_token_id)


def _shifted(model: Any, labels: torch.Tensor) -> torch.Tensor:
    """What the decoder reads to predict `labels` (B, T): the start token, then the targets before each."""
    start = _first(extract_model_from_parallel(model))
    read = labels.roll(1, -1)
    read[:, 0] = start
    return read.masked_fill(read == IGNORE_INDEX, start)  # nothing is predicted from the padding


class _State(DecodeState):
    def __init__(self, model: Any, sources: Sequence[Sequence[int]], pad: int) -> None:
        self.model, self.attention = model, SharedCrossAttention()
        self.cache: Any = None
        self.hidden, self.mask = _encode(model, sources, pad)

    def step(self, last: torch.Tensor | None) -> torch.Tensor:
        if last is None:
            read = torch.full((len(self.hidden), 1), _first(self.model), device=self.hidden.device)
        else:
            read = last
        with self.attention.active():
            found = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=self.hidden),
                attention_mask=self.mask,
                decoder_input_ids=read,
                past_key_values=self.cache,
                use_cache=True,
            )
        self.cache = found.past_key_values
        if last is None:
            self.attention.settle(self.cache)
        return found.logits[:, -1]

    def select(self, rows: torch.Tensor) -> None:
        self.cache.self_attention_cache.batch_select_indices(rows)
        self.cache.cross_attention_cache.batch_select_indices(self.attention.select(rows))
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
