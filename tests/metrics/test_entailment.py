"""Entailment on a tiny classifier of pairs, against plain loops."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from bench.classifiers import loading, packaged
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import ScoreContext, entailment

SOURCE = "#person1# : hello\n#person2# : you are kind\n#person1# : a b c\n#person2# : they will go home"
WRITTEN = ["You are kind. They will go home.", "an idiot", ""]


@pytest.fixture
def nli(workdir: Path, reward_template: Path) -> Path:
    folder = workdir / "models" / "nli"
    shutil.copytree(reward_template, folder)
    return folder


def context() -> ScoreContext:
    examples = [Example(id=str(i), dialogue_id=str(i), source=SOURCE, references=("x",)) for i in range(3)]
    made = [Prediction(id=str(i), dialogue_id=str(i), output="greedy", draw=0, text=t) for i, t in enumerate(WRITTEN)]
    return ScoreContext("v", None, examples, made, TextConfig(), GenerationConfig(), "cpu")


def chance(folder: Path, premise: str, said: str) -> torch.Tensor:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tool, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        return model.eval()(**tool(premise, said, return_tensors="pt")).logits[0].softmax(-1)


def test_a_sentence_counts_with_the_piece_that_supports_it_best(nli: Path) -> None:
    config = entailment.Config(checkpoint="nli", entailment="nothate", contradiction="hate", turns=2)
    found = [row.values["entailment"] for row in entailment.score(config, context())]
    lines = SOURCE.split("\n")
    pieces = ["\n".join(lines[i : i + 2]) for i in range(3)]
    for value, sentences in zip(found, (["You are kind.", "They will go home."], ["an idiot"], []), strict=True):
        best = [max(float(c[0] - c[1]) for c in (chance(nli, p, s) for p in pieces)) for s in sentences]
        assert value == pytest.approx(sum(best) / len(best) if best else 0.0, abs=1e-5)


def test_premises_are_runs_of_turns() -> None:
    assert entailment.premises("a\n\nb\nc", 2) == ["a\nb", "b\nc"]
    assert (
        entailment.premises("a\nb", 2) == entailment.premises("a\nb", 5) == entailment.premises("a\nb", 0) == ["a\nb"]
    )


def test_a_pair_is_not_a_text(nli: Path) -> None:
    """Which of the two is the premise matters, and both are read."""
    classifier = loading.load("nli", "cpu")
    pairs = [("you are kind", "a b"), ("a b", "you are kind"), ("you are kind", "a c")]
    found = classifier.pair_logits(pairs)
    for row, pair in zip(found, pairs, strict=True):
        assert torch.allclose(torch.tensor(row).softmax(-1).float(), chance(nli, *pair), atol=1e-5)
    assert not (found[0] == found[1]).all() and not (found[0] == found[2]).all()


def test_a_classifier_of_single_texts_is_refused() -> None:
    with pytest.raises(UserError, match="reads single texts, not pairs; name an entailment classifier"):
        loading.of_package("judge", packaged.PROFANITY, "1.9.1").pair_logits([("a", "b")])
