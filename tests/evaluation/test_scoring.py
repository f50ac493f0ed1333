"""Scores are whole, finite and about the test split's dialogues, or nothing is written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from bench import config
from bench.core import parameters, paths, plugins, storage
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.evaluation import scoring
from bench.metrics import ScoreContext

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [Example(id=c, dialogue_id=c, source=f"hello {c}", references=("a b",)) for c in "ab"]


def context(written: str) -> ScoreContext:
    rows = [Prediction(id=c, dialogue_id=c, output="greedy", draw=0, text="a") for c in written]
    return ScoreContext(
        variant="lora",
        start="base",
        examples=EXAMPLES,
        predictions=rows,
        text=TextConfig(),
        generation=GenerationConfig(samples=0),
        device="cpu",
    )


@pytest.fixture
def params(workdir: Path) -> parameters.Params:
    storage.write_rows(paths.split_path("test"), EXAMPLES)
    whole = config.read(ROOT / "studies" / "miniature.yaml")
    return whole.model_copy(update={"metrics": {"text": whole.metrics["text"]}})


def test_whole_summaries_are_scored(params: parameters.Params) -> None:
    assert len(scoring.score_and_write(params, context("ab"))) == 2
    assert paths.scores_path("lora").exists()


def test_a_missing_summary_is_named_and_nothing_is_written(params: parameters.Params) -> None:
    with pytest.raises(UserError, match="greedy summary 0 of 'b' is missing"):
        scoring.score_and_write(params, context("a"))
    assert not paths.SCORES.exists()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_named(
    params: parameters.Params, monkeypatch: pytest.MonkeyPatch, value: float
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
    assert not paths.SCORES.exists()
