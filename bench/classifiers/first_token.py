"""BERT and RoBERTa classifiers read one place of their encoder's last layer, so that layer computes no other."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

READ_ONE = ("bert", "roberta")  # model types whose head takes the first token's state and no other


def first_token_only(model: Any) -> None:
    """Let the last layer of a sequence classifier that no longer learns compute its first token's state alone.

    Its keys and values still come from every token, so the logits are the same but for rounding. Other types of model
    are left as they are.
    """
    if model.config.model_type in READ_ONE and not model.config.is_decoder:
        layer = model.base_model.encoder.layer[-1]
        layer.forward = partial(_forward, layer)


def _forward(layer: Any, states: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, **__: Any) -> torch.Tensor:
    """States (B, S, D) and a mask (B, 1, S, S), true where a token is seen -> (B, 1, D)."""
    attention, first = layer.attention.self, states[:, :1]
    query, key, value = (
        part(x).unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)
        for part, x in ((attention.query, first), (attention.key, states), (attention.value, states))
    )
    seen = scaled_dot_product_attention(query, key, value, attn_mask=None if mask is None else mask[:, :, :1])
    found: torch.Tensor = layer.feed_forward_chunk(layer.attention.output(seen.transpose(1, 2).flatten(2), first))
    return found
