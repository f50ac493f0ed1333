"""The published table of LoRA's sizes, counted by our own code on flan-t5-base at its true size, without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from bench import config
from bench.lm import models

# published.json, lora_parameter_counts_flan_t5_base: trainable parameters by modules and rank.
TABLE = {
    "q,v": {4: 442_368, 8: 884_736, 16: 1_769_472, 32: 3_538_944, 64: 7_077_888},
    "q,k,v,o": {8: 1_769_472, 16: 3_538_944, 32: 7_077_888},
}
UNTIED, TIED = 247_577_856, 222_903_552  # as the checkpoint is stored, and as transformers 5 builds it from its config
CELLS = [(modules, r, count) for modules, row in TABLE.items() for r, count in row.items()]


def flan_t5_base(untied: bool = True) -> Any:
    """The architecture on the meta device, which holds shapes and no numbers; its head untied as in the checkpoint."""
    config = T5Config(
        vocab_size=32_128,
        d_model=768,
        d_kv=64,
        d_ff=2048,
        num_layers=12,
        num_decoder_layers=12,
        num_heads=12,
        feed_forward_proj="gated-gelu",
    )
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
        if untied:
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model


def adapted(modules: str, r: int, untied: bool = True) -> tuple[int, int]:
    """(trainable, total) parameters of our LoRA on it."""
    start = models.Loaded("base", flan_t5_base(untied), None, "full", None)  # type: ignore[arg-type]
    block = {"type": "LORA", "r": r, "lora_alpha": 32, "target_modules": modules.split(",")}
    return models.count_parameters(models.with_adapter(start, block).model)


def test_the_base_has_its_published_size() -> None:
    assert models.count_parameters(flan_t5_base()) == (UNTIED, UNTIED)
    assert models.count_parameters(flan_t5_base(untied=False)) == (TIED, TIED)


@pytest.mark.parametrize(("modules", "r", "count"), CELLS)
def test_lora_has_its_published_size(modules: str, r: int, count: int) -> None:
    assert adapted(modules, r) == (count, UNTIED + count)


def test_the_thesis_s_share() -> None:
    for untied, share in ((True, 0.01409281), (False, 0.015628)):
        count, total = adapted("q,v", 32, untied)
        assert count / total == pytest.approx(share, abs=5e-7)


def test_the_study_asks_for_that_adapter() -> None:
    params = config.read(Path(__file__).resolve().parents[2] / "studies" / "thesis.yaml")
    for name in ("lora", "lora-125"):
        block = params.variants[name].adapter  # type: ignore[attr-defined]
        assert adapted(",".join(block["target_modules"]), block["r"])[0] == 3_538_944
