"""Scores are whole, finite and about the test split's dialogues, or nothing is written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bench import artifacts, config, plugins, scoring
from bench.context import ScoreContext
from bench.schema import Example, GenerationConfig, Prediction, TextConfig, UserError

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = [Example(id=c, dialogue_id=c, source=f"hello {c}", references=("a b",)) for c in "ab"]


def context(written: str) -> ScoreContext:
    rows = [Prediction(id=c, dialogue_id=c, output="greedy", draw=0, text="a") for c in written]
    return ScoreContext(variant="lora", start="base", examples=EXAMPLES, predictions=rows, text=TextConfig(),
                        generation=GenerationConfig(samples=0), device="cpu")  # fmt: skip


@pytest.fixture
def params(workdir: Path) -> config.Params:
    artifacts.write_rows(artifacts.split_path("test"), EXAMPLES)
    whole = config.read(ROOT / "studies" / "miniature.yaml")
    return whole.model_copy(update={"metrics": {"text": whole.metrics["text"]}})


def test_whole_summaries_are_scored(params: config.Params) -> None:
    assert len(scoring.score_and_write(params, context("ab"))) == 2
    assert artifacts.scores_path("lora").exists()


def test_a_missing_summary_is_named_and_nothing_is_written(params: config.Params) -> None:
    with pytest.raises(UserError, match="greedy summary 0 of 'b' is missing"):
        scoring.score_and_write(params, context("a"))
    assert not artifacts.SCORES.exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_named(
    params: config.Params, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    metric = plugins.find("metric", "text")
    honest = metric.score

    def broken(*given: Any) -> Any:
        rows = honest(*given)
        rows[1].values["words"] = value
        return rows

    monkeypatch.setattr(metric, "score", broken)
    with pytest.raises(UserError, match=f"'lora': metric 'text' gives {value} as words of 'b'"):
        scoring.score_and_write(params, context("ab"))
    assert not artifacts.SCORES.exists()
