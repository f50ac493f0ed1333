"""Rows of one source share its keys and values, and are written as if each had its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from bench import generation
from bench.core import paths
from bench.lm import architectures, models, shared_attention
from tests.lm import families

SOURCES = [[10, 11, 12, 13, 14, 15, 1], [20, 21, 1], [30, 31, 32, 33, 1]]
SHARING = sorted(set(families.SEQ2SEQ) - {"longt5", "bigbird_pegasus"})  # whose cross-attention is not the fused one


def one_by_one(model: Any, picks: list[list[int]], steps: int) -> torch.Tensor:
    """Logits (R, V) of the last of `steps` for each row: its source alone, through the whole model, without a cache."""
    found = []
    for source, tokens in picks:  # type: ignore[misc]
        read = torch.tensor([[model.generation_config.decoder_start_token_id, *tokens[:steps]]])
        found.append(model(input_ids=torch.tensor([source]), decoder_input_ids=read).logits[0, -1])
    return torch.stack(found)


@pytest.mark.parametrize("name", sorted(families.SEQ2SEQ))
def test_each_row_is_written_as_if_it_were_alone(name: str, workdir: Path) -> None:
    """Against the whole model without a cache; rows are dropped unevenly on the way, at last all of one source."""
    families.seq2seq(name, paths.model_path("base"), decoder_start_token_id=2)
    model = models.load("base", "cpu").model
    tokens = torch.randint(5, 40, (9, 4), generator=torch.Generator().manual_seed(0))
    state = architectures.of(model).start_decoding(model, SOURCES, 0)
    rows = torch.arange(3).repeat_interleave(3)
    with torch.inference_mode():
        state.step(None)
        state.select(rows)
        numbers = torch.arange(9)
        for step, kept in enumerate([range(9), [0, 1, 2, 4, 6, 8], [0, 1, 4, 5], [1, 2, 3]]):
            if step:
                state.select(torch.tensor(kept))
            numbers = numbers[list(kept)]
            found = state.step(tokens[numbers, step].unsqueeze(1))
            picks = [[SOURCES[rows[n]], tokens[n].tolist()] for n in numbers.tolist()]
            assert torch.allclose(found, one_by_one(model, picks, step + 1), atol=1e-4)
    held = len(state.cache.cross_attention_cache.layers[0].keys)  # type: ignore[attr-defined]
    assert held == (2 if name in SHARING else 3)


@pytest.mark.parametrize(("make", "name"), [(families.seq2seq, "t5"), (families.decoder, "llama")], ids=["t5", "llama"])
def test_a_source_is_read_once_however_often_it_is_named(
    make: Any, name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(name, paths.model_path("base"))
    loaded = models.load("base", "cpu")
    batch = [SOURCES[1], SOURCES[0], SOURCES[1], SOURCES[2], SOURCES[0]]  # not side by side
    uniforms = torch.rand(5, 3, 7, generator=torch.Generator().manual_seed(0))
    expected = [generation.generate(loaded, [one], 7, uniforms[i : i + 1])[0] for i, one in enumerate(batch)]
    kind = type(architectures.of(loaded.model))
    start, read = kind.start_decoding, []

    def noted(self: Any, model: Any, sources: Any, pad: int) -> Any:
        read.extend(map(list, sources))
        return start(self, model, sources, pad)

    monkeypatch.setattr(kind, "start_decoding", noted)
    assert generation.generate(loaded, batch, 7, uniforms) == expected
    assert sorted(read) == sorted(SOURCES)


def test_a_model_without_fused_attention_keeps_a_copy_for_each_row() -> None:
    config = T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0)
    torch.manual_seed(0)
    model = T5ForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
    model.generation_config.decoder_start_token_id = 0
    state = architectures.of(model).start_decoding(model, SOURCES, 0)
    with torch.inference_mode():
        state.step(None)
        state.select(torch.tensor([0, 0, 1, 2]))
        found = state.step(torch.full((4, 1), 7))
        assert torch.allclose(found, one_by_one(model, [[SOURCES[i], [7]] for i in (0, 0, 1, 2)], 1), atol=1e-5)
    assert len(state.cache.cross_attention_cache.layers[0].keys) == 4  # type: ignore[attr-defined]


def test_transformers_own_attention_is_back_afterwards(workdir: Path) -> None:
    families.seq2seq("bart", paths.model_path("base"))
    loaded = models.load("base", "cpu")
    generation.generate(loaded, SOURCES, 3, torch.rand(3, 2, 3))
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is shared_attention.PLAIN
