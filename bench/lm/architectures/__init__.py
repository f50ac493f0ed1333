"""What differs between an encoder-decoder and a decoder-only model. Nothing else in the benchmark asks which it has.

Each is one file: how it is loaded, what its logits over a batch of targets are, and how it writes token after token.
"""

from __future__ import annotations

from typing import Any

from accelerate.utils import extract_model_from_parallel
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

from bench.lm.architectures.decoder_only import DecoderOnly
from bench.lm.architectures.encoder_decoder import EncoderDecoder
from bench.lm.architectures.interface import Architecture
from bench.lm.architectures.interface import learns_prompts as learns_prompts


def of(model: Any) -> Architecture:
    """Return the architecture of a loaded model, also inside an adapter or a wrapper that spreads it over processes."""
    found = of_config(extract_model_from_parallel(model).config)
    assert found is not None, "models.load lets no other in"
    return found


def of_config(config: Any) -> Architecture | None:
    """Return the architecture that a transformers config describes; None for an encoder, an image model or the like."""
    if config.is_encoder_decoder:
        return EncoderDecoder()
    # BERT's kind can be had with a causal head too; it was not made to write.
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        return DecoderOnly()
    return None
