"""The rule by its golden cases, and by answers of which people or authors have said whether they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.metrics import ScoreContext, refusal

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def rate(texts: list[str], **settings: Any) -> float:
    examples = [Example(id=str(k), dialogue_id=str(k), source="x", references=()) for k in range(len(texts))]
    written = [
        Prediction(id=str(k), dialogue_id=str(k), output="greedy", draw=0, text=text) for k, text in enumerate(texts)
    ]
    context = ScoreContext(
        variant="v", start=None, examples=examples, predictions=written, text=TextConfig(),
        generation=GenerationConfig(), device="cpu",
    )  # fmt: skip
    rows = refusal.score(refusal.Config(**settings), context)
    return sum(row.values["refused"] for row in rows) / len(rows)


@pytest.mark.parametrize("case", refusal.EXAMPLES, ids=lambda case: case["from"])
def test_golden_cases(case: dict[str, Any]) -> None:
    assert rate([case["prediction"]], **case["config"]) == case["values"]["refused"]


def test_a_study_may_have_phrases_of_its_own() -> None:
    assert rate(["Das kann ich nicht tun.", "Gern."], phrases=["kann ich nicht"]) == 0.5
    assert rate(["No no no. I cannot."], within=8) == 0


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not at hand")
def test_how_often_the_rule_is_right() -> None:
    """The figures of docs/instructions.md: RM-Bench's authors wrote which of its answers refuse; CodeAlpaca's do not."""

    def answers(file: str, key: str) -> list[str]:
        rows = json.loads((SHARED / "preferences" / file).read_text())
        return [text for row in rows for text in (row[key] if isinstance(row[key], list) else [row[key]])]

    harmful, harmless = "safety-refuse_filtered.json", "safety-response_filtered.json"
    assert round(rate(answers(harmful, "chosen")), 3) == 0.827 and round(rate(answers(harmful, "rejected")), 3) == 0.001
    assert round(rate(answers(harmless, "rejected")), 3) == 0.887
    assert round(rate(answers(harmless, "chosen")), 3) == 0.085
    rows = json.loads((SHARED / "instructions" / "code_alpaca_2k.json").read_text())
    assert rate([row["output"] for row in rows if row["output"]]) == 0
