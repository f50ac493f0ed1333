"""Every kind of adapter that is let in: what is saved is what is loaded, and what is merged computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core import paths
from bench.core.schema import UserError
from bench.lm import models
from tests.lm import families

ADAPTERS: dict[str, dict[str, Any]] = {
    "LORA": {"type": "LORA", "r": 2, "target_modules": ["q", "v"]},
    "rsLoRA": {"type": "LORA", "r": 2, "use_rslora": True, "target_modules": ["q", "v"]},
    "DoRA": {"type": "LORA", "r": 2, "use_dora": True, "target_modules": ["q", "v"]},
    "LoRA on the head": {"type": "LORA", "r": 2, "target_modules": ["q", "lm_head"]},
    "ADALORA": {"type": "ADALORA", "init_r": 4, "target_r": 2, "total_step": 4, "target_modules": ["q", "v"]},
    "IA3": {"type": "IA3", "target_modules": ["k", "v"], "feedforward_modules": []},
    "LOHA": {"type": "LOHA", "r": 2, "target_modules": ["q", "v"]},
    "LOKR": {"type": "LOKR", "r": 2, "target_modules": ["q", "v"]},
    "VERA": {"type": "VERA", "r": 2, "target_modules": ["q", "v"]},
    "OFT": {"type": "OFT", "oft_block_size": 4, "target_modules": ["q", "v"]},
    "BOFT": {"type": "BOFT", "boft_block_size": 4, "target_modules": ["q", "v"]},
    "MISS": {"type": "MISS", "r": 2, "target_modules": ["q", "v"]},
    "SHIRA": {"type": "SHIRA", "r": 2, "target_modules": ["q", "v"]},
    "HRA": {"type": "HRA", "r": 2, "target_modules": ["q", "v"]},
    "LN_TUNING": {"type": "LN_TUNING", "target_modules": ["layer_norm", "final_layer_norm"]},
    "PROMPT_TUNING": {"type": "PROMPT_TUNING", "num_virtual_tokens": 3},
    "PREFIX_TUNING": {"type": "PREFIX_TUNING", "num_virtual_tokens": 3},
    "P_TUNING": {"type": "P_TUNING", "num_virtual_tokens": 3, "encoder_hidden_size": 8},
}
PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")
SOURCES, TARGETS = [[10, 11, 12, 13, 1], [20, 21, 1]], [[30, 31, 1], [32, 33, 34, 1]]


def logits(loaded: models.Loaded) -> torch.Tensor:
    batch = models.collate(SOURCES, TARGETS, 0, "cpu")
    with torch.no_grad():
        return models.target_logits(loaded.model, batch)[batch.labels != -100]


def tuned(adapter: dict[str, Any], **base: Any) -> models.Loaded:
    """A T5 with the adapter, moved away from its start as training would, and saved as `first`."""
    families.seq2seq("t5", paths.model_path("base"), **base)
    loaded = models.with_adapter(models.load("base", "cpu"), adapter)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    models.save(loaded, "first", "sft", {})
    return loaded


@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_is_saved_is_what_is_loaded(kind: str, workdir: Path) -> None:
    loaded = tuned(ADAPTERS[kind])
    back = models.load("first", "cpu")
    assert (logits(loaded) - logits(models.load("base", "cpu"))).abs().max() > 1e-3
    assert torch.allclose(logits(back), logits(loaded), atol=1e-5)
    counts = [sum(p.numel() for p in one.model.parameters() if p.requires_grad) for one in (loaded, back)]
    # What is carried on trains what was trained; P-tuning stores the prompts that its encoder makes, and those go on alone.
    assert counts[1] > 0 and (counts[0] == counts[1] or (kind == "P_TUNING" and counts[0] > counts[1]))


def test_prefixes_fit_heads_that_do_not_share_out_the_model_s_width(workdir: Path) -> None:
    """FLAN-T5-small has 6 heads of 64 numbers in states of 512; peft by itself divides 512 by 6."""
    loaded = tuned(ADAPTERS["PREFIX_TUNING"], num_heads=3, d_kv=8)
    assert loaded.model.get_base_model().config.d_model % 3
    assert torch.allclose(logits(models.load("first", "cpu")), logits(loaded), atol=1e-5)
    assert (logits(loaded) - logits(models.load("base", "cpu"))).abs().max() > 1e-3


@pytest.mark.parametrize("kind", [kind for kind in ADAPTERS if kind not in PROMPTS])
@pytest.mark.parametrize("tied", [False, True])
def test_a_second_adapter_starts_where_the_first_stands(kind: str, tied: bool, workdir: Path) -> None:
    tuned(ADAPTERS[kind], tie_word_embeddings=tied)
    first = models.load("first", "cpu")
    expected = logits(first)
    second = models.with_adapter(models.load("first", "cpu"), {"type": "LORA", "r": 2, "target_modules": ["q"]})
    assert torch.allclose(logits(second), expected, atol=1e-4)
    models.save(second, "second", "sft", {})
    assert torch.allclose(logits(models.load("second", "cpu")), expected, atol=1e-4)


def test_an_adapter_on_a_tied_head_leaves_the_embedding_as_it_was(workdir: Path) -> None:
    tuned(ADAPTERS["LoRA on the head"], tie_word_embeddings=True)
    base = models.load("base", "cpu").model
    assert base.get_output_embeddings().weight is base.get_input_embeddings().weight
    merged = models.merged(models.load("first", "cpu")).model
    assert torch.equal(merged.get_input_embeddings().weight, base.get_input_embeddings().weight)
    assert not torch.equal(merged.get_output_embeddings().weight, base.get_output_embeddings().weight)


def test_the_schedule_of_ranks_has_the_training_s_length(workdir: Path) -> None:
    from bench.training import adalora

    loaded = tuned(ADAPTERS["ADALORA"])
    adalora.check_steps(loaded.model, 4, "v")
    with pytest.raises(
        UserError, match=r"params\.yaml: v\.adapter\.total_step: 4 steps, and the training has 9; write 9"
    ):
        adalora.check_steps(loaded.model, 9, "v")
    adalora.check_steps(models.load("base", "cpu").model, 9, "v")


def test_the_penalty_is_peft_s_own(workdir: Path) -> None:
    """peft adds it to the loss that its model returns, and only there."""
    from bench.training import adalora

    loaded = tuned(ADAPTERS["ADALORA"])
    batch = models.collate(SOURCES, TARGETS, 0, "cpu")
    with torch.no_grad():
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}
        with_penalty = loaded.model(**inputs).loss
        without = loaded.model.get_base_model()(**inputs).loss
        assert float(adalora.penalty(loaded.model)) == pytest.approx(float(with_penalty - without), rel=1e-4)
    assert adalora.penalty(models.load("base", "cpu").model) is None
