"""Sweeps become variants, in memory and in the text that `bench use` writes."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from bench.core import editing, parameters, sweeps
from bench.core.schema import UserError
from tests.project import ROOT

BLOCK: dict[str, Any] = {"method": "sft", "adapter": {"type": "LORA", "r": 8}, "optim": {"learning_rate": 1e-3}}


def made(sweep: Any, **others: Any) -> dict[str, Any]:
    return sweeps.expanded({"base-line": {}, "lora": BLOCK | {"sweep": sweep}, **others}, "params.yaml")


def test_every_combination_is_a_variant_in_the_sweep_s_place() -> None:
    found = made({"adapter.r": [4, 16], "optim.learning_rate": [1e-3, 0.02]}, last={})
    assert list(found) == [
        "base-line", "lora-r4-learning-rate0_001", "lora-r4-learning-rate0_02",
        "lora-r16-learning-rate0_001", "lora-r16-learning-rate0_02", "last",
    ]  # fmt: skip
    assert found["lora-r16-learning-rate0_02"] == {
        "method": "sft",
        "adapter": {"type": "LORA", "r": 16},
        "optim": {"learning_rate": 0.02},
    }
    assert BLOCK["adapter"]["r"] == 8, "the block itself is left as it was"


def test_blocks_are_swept_by_name() -> None:
    found = made({"adapter": {"ia3": {"type": "IA3"}, "none": None}})
    assert found["lora-ia3"]["adapter"] == {"type": "IA3"} and found["lora-none"]["adapter"] is None
    assert made({"text.shots": [0, 2]})["lora-shots2"]["text"] == {"shots": 2}


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ([4, 16], "must say which fields take which values"),
        ({"adapter.r": 4}, "must be a list of values"),
        ({"adapter.r": []}, "must be a list of values"),
        ({"adapter": [{"r": 4}]}, "values that are blocks need names"),
        ({"method.r": [1]}, "'method' is no block"),
        ({"adapter.r": [4, 4]}, "two variants would be called 'lora-r4'"),
        ({"adapter.r": list(range(201))}, "201 combinations"),
    ],
)
def test_a_sweep_that_cannot_be_made_is_said(sweep: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        made(sweep)


def test_a_name_that_another_variant_has_is_said() -> None:
    with pytest.raises(UserError, match="two variants would be called 'lora-r4'"):
        made({"adapter.r": [4]}, **{"lora-r4": {}})


def test_what_is_written_is_what_is_read() -> None:
    text = (ROOT / "studies" / "miniature.yaml").read_text(encoding="utf-8")
    swept = text.replace("  lora:\n", "  lora:\n    sweep: {adapter.r: [2, 4]}\n")
    written = editing.with_sweeps(swept, "studies/miniature.yaml")
    raw = YAML(typ="safe").load(written)
    assert "lora" not in raw["variants"] and raw["variants"]["lora-r2"]["adapter"]["r"] == 2
    assert list(raw["variants"]) == list(parameters.parse(YAML(typ="safe").load(swept)).variants)
    assert parameters.parse(raw).variants == parameters.parse(YAML(typ="safe").load(swept)).variants
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in written.splitlines() if line.startswith("#")
    ], "comments stay"
    assert editing.with_sweeps(text, "x") == text
