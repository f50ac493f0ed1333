"""Decodings by settings, against transformers' `generate` called for one dialogue at a time, and a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from bench import generation
from bench.core.blocks import DecodingConfig
from bench.lm import models

SEARCHES: list[dict[str, Any]] = [
    {"num_beams": 4},
    {"num_beams": 3, "length_penalty": 2.0},
    {"num_beams": 2, "no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.5},
    {"no_repeat_ngram_size": 1},
    {"min_new_tokens": 5},
]


def sharpened(loaded: models.Loaded) -> models.Loaded:
    """Random weights that write texts of differing lengths."""
    torch.manual_seed(51)
    for parameter in loaded.model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return loaded


def sources(loaded: models.Loaded, count: int = 8) -> list[list[int]]:
    size, generator = loaded.model.config.vocab_size, torch.Generator().manual_seed(3)
    return [torch.randint(3, size, (2 + i,), generator=generator).tolist() for i in range(count)]


def alone(loaded: models.Loaded, source: list[int], limit: int, **settings: Any) -> list[int]:
    """What transformers writes for one dialogue, cut after its end."""
    tool = loaded.tokenizer
    config = GenerationConfig(
        max_new_tokens=limit,
        do_sample=False,
        pad_token_id=tool.pad_token_id,
        eos_token_id=list(loaded.ends),
        decoder_start_token_id=loaded.model.generation_config.decoder_start_token_id,
        **settings,
    )
    row = loaded.model.generate(torch.tensor([source]), generation_config=config)[0].tolist()
    row = row[1 if loaded.model.config.is_encoder_decoder else len(source) :]
    end = next((i for i, token in enumerate(row) if token in loaded.ends), len(row))
    return row[: end + 1]


@pytest.mark.parametrize("settings", SEARCHES, ids=str)
def test_a_search_in_a_batch_is_transformers_own_of_each_dialogue(tiny_base: Path, settings: dict[str, Any]) -> None:
    loaded = sharpened(models.load("base", "cpu"))
    expected = [alone(loaded, source, 12, **settings) for source in sources(loaded)]
    written = generation.generate(loaded, sources(loaded), 12, decoding=DecodingConfig(**settings))
    assert [list(one.token_ids) for (one,) in written] == expected
    plain = generation.generate(loaded, sources(loaded), 12)
    assert plain != written, "the setting changes something here"


@pytest.mark.parametrize("settings", SEARCHES, ids=str)
def test_a_decoder_only_model_too(tiny_decoder: Path, settings: dict[str, Any]) -> None:
    loaded = models.load("base", "cpu")
    expected = [alone(loaded, source, 10, **settings) for source in sources(loaded)]
    written = generation.generate(loaded, sources(loaded), 10, decoding=DecodingConfig(**settings))
    assert [list(one.token_ids) for (one,) in written] == expected


def cut_off(logits: np.ndarray, config: DecodingConfig) -> np.ndarray:
    """The distribution of Holtzman et al. 2020 (nucleus), Fan et al. 2018 (top k) and Nguyen et al. 2024 (min p), by loops."""
    logits = logits / (config.temperature or 1.0)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    order = sorted(range(len(chances)), key=lambda token: -chances[token])
    if config.top_k:
        order = order[: config.top_k]
    chances = np.where(np.isin(np.arange(len(chances)), order), chances, 0)
    chances /= chances.sum()
    if config.top_p:
        kept, reached = list[int](), 0.0
        for token in order:
            kept.append(token)
            reached += chances[token]
            if reached >= config.top_p:
                break
        chances = np.where(np.isin(np.arange(len(chances)), kept), chances, 0)
        chances /= chances.sum()
    if config.min_p:
        chances = np.where(chances >= config.min_p * chances.max(), chances, 0)
        chances /= chances.sum()
    return chances


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"top_k": 5},
        {"top_p": 0.6},
        {"min_p": 0.3},
        {"temperature": 1.3, "top_k": 20, "top_p": 0.8},
    ],
    ids=str,
)
def test_samples_follow_the_changed_distribution(tiny_base: Path, settings: dict[str, Any]) -> None:
    loaded, config, draws = models.load("base", "cpu"), DecodingConfig(**settings), 3000
    source = sources(loaded)[3]
    uniforms = torch.rand(1, draws, 1, generator=torch.Generator().manual_seed(0))
    written = generation.generate(loaded, [source], 1, uniforms, decoding=config)[0]
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[0]])).logits[0, -1]
    expected = cut_off(logits.double().numpy(), config)
    counts = np.bincount([one.token_ids[0] for one in written], minlength=len(expected))
    possible = expected > 0
    assert not counts[~possible].any() and possible.sum() > 1
    chi2 = ((counts - draws * expected)[possible] ** 2 / (draws * expected[possible])).sum()
    freedom = possible.sum() - 1
    assert abs(chi2 - freedom) < 5 * (2 * freedom) ** 0.5


def test_a_sample_depends_on_its_numbers_and_not_on_its_batch(tiny_base: Path) -> None:
    loaded, nucleus = sharpened(models.load("base", "cpu")), DecodingConfig(temperature=2.0, top_p=0.9)
    uniforms = torch.rand(8, 2, 9, generator=torch.Generator().manual_seed(1))
    whole = generation.generate(loaded, sources(loaded), 9, uniforms, decoding=nucleus)
    apart = [
        generation.generate(loaded, [source], 9, uniforms[i : i + 1], decoding=nucleus)[0]
        for i, source in enumerate(sources(loaded))
    ]
    assert whole == apart and len({one.token_ids for drawn in whole for one in drawn}) > 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_beams": 4, "top_p": 0.9}, "searches and .* sample"),
        ({"draws": 3}, "would be the same summary again"),
        ({"length_penalty": 2.0}, "compares beams"),
    ],
)
def test_a_decoding_that_contradicts_itself_is_said(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DecodingConfig(**settings)
