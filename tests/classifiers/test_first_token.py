"""A classifier whose last layer computes the first token alone gives transformers' own logits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, RobertaConfig

from bench.classifiers import first_token

SIZES = {"vocab_size": 40, "initializer_range": 0.5, "pad_token_id": 0, "num_labels": 3}
LAYERS = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def model_of(config: Any) -> Any:
    """Random weights, far enough from 0 for the places of a sentence to differ."""
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval().requires_grad_(False)


def batch(padding: int) -> dict[str, torch.Tensor]:
    """Three rows, of which two end in padding where there is any."""
    ids, mask = torch.randint(2, 40, (3, 9), generator=torch.Generator().manual_seed(1)), torch.ones(3, 9)
    for row in range(2 if padding else 0):
        ids[row, 9 - padding - row :], mask[row, 9 - padding - row :] = 0, 0
    return {"input_ids": ids, "attention_mask": mask.long()}


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("kind", [BertConfig, RobertaConfig])
def test_logits_are_those_of_the_whole_layer(kind: Any, padding: int) -> None:
    model = model_of(kind(**SIZES, **LAYERS))
    whole = copy.deepcopy(model)
    first_token.first_token_only(model)
    places = []
    model.base_model.encoder.layer[-1].intermediate.register_forward_pre_hook(lambda _, x: places.append(x[0].shape[1]))
    expected = whole(**batch(padding)).logits
    assert torch.allclose(model(**batch(padding)).logits, expected, atol=1e-5)
    assert places == [1] and expected.std() > 0.1


def test_padding_is_not_seen() -> None:
    model = model_of(BertConfig(**SIZES, **LAYERS))
    first_token.first_token_only(model)
    padded, other = batch(3), batch(3)
    other["input_ids"] = torch.where(other["attention_mask"] == 1, other["input_ids"], 7)
    assert torch.equal(model(**padded).logits, model(**other).logits)


def test_other_models_are_left_as_they_are() -> None:
    others = [
        DistilBertConfig(**SIZES, dim=16, hidden_dim=32, n_layers=2, n_heads=2),
        BertConfig(**SIZES, **LAYERS, is_decoder=True),
    ]
    for model in map(model_of, others):
        first_token.first_token_only(model)
        assert not any("forward" in vars(module) for module in model.modules())
