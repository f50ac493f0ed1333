"""Random weights in the sizes of a model that is not here: time does not ask what the weights say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

from benchmarks.rival.laps import Lap
from benchmarks.rival.task import Task


def flan_t5_base(task: Task, lap: Lap) -> dict[str, Any]:
    """google/flan-t5-base's sizes (its config.json at 7bcac572) -> models/random, with the base's tokenizer."""
    lap()
    torch.manual_seed(task.seed)
    config = T5Config(
        vocab_size=32128,
        d_model=768,
        d_kv=64,
        d_ff=2048,
        num_layers=12,
        num_decoder_layers=12,
        num_heads=12,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))  # untied, as FLAN's
    model.save_pretrained(Path("models") / "random")
    AutoTokenizer.from_pretrained(Path("models") / task.base).save_pretrained(Path("models") / "random")
    return {"parameters": sum(p.numel() for p in model.parameters())}
