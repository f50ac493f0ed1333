"""A T5 of about a million parameters, initialised so that it can learn to copy within minutes on one core."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.core.schema import Strict


class Shape(Strict):
    """The architecture: T5 with plain ReLU feed-forward layers and an untied head, as in FLAN-T5."""

    d_model: int = Field(128, ge=16)
    d_kv: int = Field(32, ge=8)
    d_ff: int = Field(384, ge=8)
    heads: int = Field(4, ge=2)
    layers: int = Field(2, ge=2)


def make(shape: Shape, vocabulary: int) -> Any:
    """Make a fresh, untied model with the copy-friendly initialisation. Draws from torch's global generator."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "d_model": shape.d_model,
        "d_kv": shape.d_kv,
        "d_ff": shape.d_ff,
        "num_layers": shape.layers,
        "num_decoder_layers": shape.layers,
        "num_heads": shape.heads,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.0,
        "feed_forward_proj": "relu",
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    model = T5ForConditionalGeneration(T5Config(**settings))
    # transformers 5 ties the head of a model built from a config, whatever the config says.
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = False
    model.generation_config.update(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    with torch.no_grad():
        _start_near_copying(model, shape)
    return model


def _start_near_copying(model: Any, shape: Shape) -> None:
    """Lay an induction circuit: find the current token in the source, write the token that follows it.

    From a random start 600 steps never learned to copy. The circuit: encoder head 0 looks one place back and writes
    that token's code into dimensions that embeddings leave empty. Cross-attention of the last decoder layer compares
    the decoder's current token with those codes, and so finds the place after its like; it carries that place's
    token to the head, which starts as the transpose of the embedding.
    """
    import torch

    width, size, heads = shape.d_model, shape.d_kv, shape.heads
    content = width - size  # the last `size` dimensions are for the previous token's code
    for parameter in model.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3 * parameter.shape[1] ** -0.5)
    embedding = torch.randn_like(model.shared.weight)
    embedding[:, content:] *= 0.1
    model.shared.weight.copy_(embedding)
    model.lm_head.weight.copy_(embedding * width**-0.5)

    def code(number: int) -> torch.Tensor:
        """Draw an orthonormal reading of `size` dimensions out of the token's content; another one for each number."""
        square = torch.linalg.qr(torch.randn(content, content))[0]
        return torch.cat([square[:size], torch.zeros(size, width - content)], dim=1)

    matching = code(0)
    first = model.encoder.block[0].layer[0].SelfAttention
    bias = first.relative_attention_bias.weight
    bias.zero_()
    bias[1, 0] = 8.0  # bucket 1 is one place back
    place = torch.zeros(width, size)
    place[content:] = torch.eye(size)
    for block in model.encoder.block:  # the bias of the first layer holds in all of them
        block.layer[0].SelfAttention.q.weight[:size] *= 0.1
    first.v.weight[:size] = matching
    first.o.weight[:, :size] = place
    # The decoder too sees one place back: two tokens tell where a summary stands, one alone runs into loops.
    told = model.decoder.block[0].layer[0].SelfAttention
    told.relative_attention_bias.weight.zero_()
    told.relative_attention_bias.weight[1, 0] = 8.0
    for block in model.decoder.block:
        block.layer[0].SelfAttention.q.weight[:size] *= 0.1
    told.v.weight[:size] = code(heads)
    told.o.weight[:, :size] = place
    cross = model.decoder.block[-1].layer[1].EncDecAttention
    for head in range(heads - 1):  # several heads, since one carries only `size` dimensions of the token
        rows = slice(head * size, (head + 1) * size)
        value = code(head + 1)
        cross.q.weight[rows] = matching * 0.6
        cross.k.weight[rows] = place.T
        cross.v.weight[rows] = value
        cross.o.weight[:, rows] = value.T
