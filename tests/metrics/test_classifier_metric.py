"""The chance of a wanted label is the classifier's own; what training followed is a reward, what it never saw a result."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.checkpoints import BuildContext, vader
from bench.core import paths
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.metrics import ScoreContext, classifier

TEXTS = ["VADER is smart, handsome, and funny!", "Today SUX!"]


@pytest.mark.skipif(not any(metadata.distributions(name="vaderSentiment")), reason="vaderSentiment is not installed")
def test_the_chance_is_the_classifiers_own(workdir: Path) -> None:
    vader.build(vader.Config(source="vader"), BuildContext(paths.model_path("tone")))
    examples = [Example(id=str(k), dialogue_id=str(k), source="x", references=()) for k in range(2)]
    written = [
        Prediction(id=str(k), dialogue_id=str(k), output=output, draw=0, text=text)
        for k, text in enumerate(TEXTS)
        for output in ("greedy", "sample")
    ]
    context = ScoreContext(
        variant="v", start=None, examples=examples, predictions=written, text=TextConfig(),
        generation=GenerationConfig(), device="cpu",
    )  # fmt: skip
    config = classifier.Config(followed={"tone": "positive"})
    rows = classifier.score(config, context)
    published = [0.8439, 0.8439, -0.5461, -0.5461]
    assert [row.values["tone_positive"] for row in rows] == pytest.approx([(x + 1) / 2 for x in published], abs=1e-4)
    signed = classifier.signature(config, context)
    assert set(signed) == {"tone_positive", "tone_positive_sampled"}
    assert "vaderSentiment-3.3.2|P(positive)" in signed["tone_positive"]


def test_what_is_followed_is_a_reward_and_what_judges_a_result() -> None:
    columns = classifier.columns(classifier.Config(followed={"a": "positive"}, judges={"b": "kind"}))
    assert columns["a_positive"].role == "reward" and columns["b_kind"].role == "quality"
    assert columns["b_kind_sampled"].sampled and columns["b_kind"].classifier == "b"
    assert classifier.labels(classifier.Config(judges={"b": "kind"})) == {"judges.b": ("b", "kind")}
    for block in ({}, {"followed": {"a": "x"}, "judges": {"a": "y"}}):
        with pytest.raises(ValidationError, match="each once"):
            classifier.Config(**block)
