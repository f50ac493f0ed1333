"""Tiny random models of many families, with the tokenizers of the tests' own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import save_chat_tokenizer, save_tokenizer

POSITIONS = 128
SEQ2SEQ: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
    "umt5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
    "longt5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
    "bart": {},
    "mbart": {},
    "pegasus": {},
    "marian": {},
    "m2m_100": {"decoder_start_token_id": 2},
    "blenderbot": {},
    "blenderbot-small": {},
    "bigbird_pegasus": {"attention_type": "original_full"},
    "plbart": {},
    "mt5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2},
}
SIDES = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": POSITIONS,
}
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,
}
DECODERS: dict[str, dict[str, Any]] = {
    "llama": SMALL,
    "mistral": SMALL,
    "qwen2": SMALL,
    "qwen3": SMALL | {"head_dim": 8},
    "gemma": SMALL | {"head_dim": 8},
    "phi3": SMALL | {"pad_token_id": 0},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": POSITIONS, "initializer_range": 0.3},
    "gpt_neox": SMALL,
    "olmo2": SMALL,
    "granite": SMALL,
    "stablelm": SMALL,
    "falcon": SMALL | {"new_decoder_architecture": True},
    "opt": {
        "hidden_size": 16,
        "word_embed_proj_dim": 8,
        "ffn_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": POSITIONS,
        "do_layer_norm_before": False,
        "init_std": 0.3,
    },
}


def seq2seq(name: str, folder: Path, **changes: Any) -> Path:
    """Write an encoder-decoder of that type with random weights and the words' tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    size = save_tokenizer(folder)
    own = SEQ2SEQ[name] if "d_kv" in SEQ2SEQ[name] else SIDES | SEQ2SEQ[name]
    settings = {"vocab_size": size, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2} | own
    settings = {"decoder_start_token_id": 0, "forced_eos_token_id": None} | settings | changes
    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(name, **settings))
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config.decoder_start_token_id = settings["decoder_start_token_id"]
    model.save_pretrained(folder)
    return folder


def decoder(name: str, folder: Path, **changes: Any) -> Path:
    """Write a decoder-only model of that type with random weights and a byte-level tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    size = save_chat_tokenizer(folder)
    settings = {"vocab_size": size + 4, "bos_token_id": 0, "eos_token_id": 2} | DECODERS[name] | changes
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **settings)).save_pretrained(folder)
    return folder
