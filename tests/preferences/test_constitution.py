"""AI feedback: judged in both orders, so that a preference for a place cancels out and shows; the grammar as the critic."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import generation
from bench.core import storage
from bench.core.schema import Example, UserError
from bench.lm import models
from bench.miniature import dialogues, facts
from bench.preferences import JUDGE, constitution
from bench.training.context import TrainContext

Make = Callable[..., TrainContext]
SAMPLES = {"prompts": 10, "samples": 16, "max_new_tokens": 48}


def config(**block: Any) -> constitution.Config:
    given = {"principles": ["Which is true?"], "samples": SAMPLES} | block
    return constitution.Config(source="constitution", init="base", learns_from="models/base", **given)


def miniature(count: int = 60) -> list[Example]:
    found = dialogues.study(0, train=count, validation=1, test=1, heated=0.5)["train"]
    return [
        Example(id=f"t{k}", dialogue_id=f"t{k}", source=d.source, references=d.references, facts=dict(d.facts))
        for k, d in enumerate(found)
    ]


def parts(question: str) -> tuple[str, str]:
    """The two summaries of a question by the usual template."""
    first = question.partition("Summary A: ")[2].partition("\n\nSummary B: ")
    return first[0], first[2].partition("\n\nWhich summary")[0]


def biased(better: Callable[[str], float], bias: float) -> constitution.Ask:
    """A judge that goes by a measure of the summary, and leans to the first place."""

    def ask(question: str) -> Sequence[float]:
        one, other = parts(question)
        return (better(one) - better(other) + bias, 0.0)

    return ask


def test_a_lean_to_one_place_changes_no_score_and_is_told() -> None:
    """The grammar judges: scores are half the true differences whatever the bias, which is what was put in."""
    examples = miniature()
    judged = [(e, [e.references[0], f"{e.references[0]} #Person1# likes it.", "Nothing."]) for e in examples]
    for bias in (0.0, 1.5, -4.0):
        found: list[tuple[float, ...]] = []
        rows = []
        for e, summaries in judged:

            def right(text: str, example: Example = e) -> float:
                seen = facts.judge(text, example.facts)
                return float(seen.right - seen.wrong)

            made, about = constitution.judgements(config(), [(e, summaries)], biased(right, bias))
            found += [one.scores for one in made]
            rows.append(about)
            truth = [right(text) for text in summaries]
            pairwise = [np.mean([a - b for j, b in enumerate(truth) if j != i]) for i, a in enumerate(truth)]
            assert made[0].scores == pytest.approx(pairwise, abs=1e-6)
            assert made[0].scores[0] == max(made[0].scores)
        lean = float(np.mean([row["position_bias"] for row in rows]))
        assert math.copysign(1, lean) == math.copysign(1, bias) if bias else lean == pytest.approx(0)


def test_who_always_answers_a_has_judged_nothing(context: Make) -> None:
    judged = [(e, ["one text", "another text"]) for e in miniature(5)]
    made, about = constitution.judgements(config(), judged, lambda question: (0.0, -3.0))
    assert about == {
        "pairs": 5.0,
        "position_bias": pytest.approx(1 / (1 + math.exp(-3)) - 0.5),
        "always_first": 1.0,
        "always_second": 0.0,
    }
    assert {one.scores for one in made} == {(0.0, 0.0)}


def test_such_a_judge_ends_the_stage(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constitution, "asker", lambda judge, prompts: lambda question: (-3.0, 0.0))
    given = dataclasses.replace(context("ai", learns_from="models/base"), part="preferences")
    with pytest.raises(
        UserError, match=r"preferences\.ai\.learns_from: the judge answers 'B' in both orders of \d+ pairs"
    ):
        constitution.rankings(config(), given)


def test_such_a_judge_is_heard_where_that_is_asked_for(context: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leans to B by 3 whatever it reads, and a little to the longer one: that is what the scores hold."""

    def ask(question: str) -> Sequence[float]:
        first, second = parts(question)
        return (0.01 * (len(first) - len(second)), 3.0)

    monkeypatch.setattr(constitution, "asker", lambda judge, prompts: ask)
    given = dataclasses.replace(context("ai", learns_from="models/base"), part="preferences")
    made = constitution.rankings(config(place_bias="cancel"), given)
    assert storage.read_json(given.work.folder / JUDGE)["always_second"] == 1.0
    for one in made:
        lengths = [len(summary) for summary in one.summaries]
        expected = [0.01 * np.mean([a - b for j, b in enumerate(lengths) if j != i]) for i, a in enumerate(lengths)]
        assert one.scores == pytest.approx(expected, abs=1e-6)


def test_no_question_is_asked_twice(context: Make) -> None:
    """Answers are kept as they come, to the last digit; a run that goes on asks what is missing."""
    asked: list[str] = []

    def answers(questions: Sequence[str]) -> list[Sequence[float]]:
        asked.extend(questions)
        if "ccc" in questions and asked.count("ccc") == 1:
            raise KeyboardInterrupt
        return [[len(question) / 3, -1 / 7] for question in questions]

    def made() -> Callable[[Sequence[str]], list[Any]]:
        return constitution.remembered(context("ai").work, "answers.jsonl", constitution.Answer, answers, 2)

    first = made()
    said = [tuple(one) for one in first(["a", "bb", "a"])]
    assert said == [(1 / 3, -1 / 7), (2 / 3, -1 / 7), (1 / 3, -1 / 7)]
    with pytest.raises(KeyboardInterrupt):
        first(["ccc", "a", "dddd", "eeeee", "ffffff"])
    again = made()
    assert [tuple(one) for one in again(["a", "bb", "a"])] == said
    assert [len(asked), *map(tuple, again(["ccc", "ffffff"]))] == [6, (1.0, -1 / 7), (2.0, -1 / 7)]
    assert asked == ["bb", "a", "ffffff", "eeeee", "dddd", "ccc", "ccc"], "two at once, the longest first"


def test_a_revision_stands_above_what_it_revises() -> None:
    """The critic is the grammar: it names the insult, and the revision is the summary without it."""

    def write(question: str) -> str:
        if question.endswith("Critique:"):
            return "It quotes an insult." if "you idiot" in question.partition("Summary:")[2] else "Nothing."
        summary = question.partition("Summary: ")[2].partition("\n\nCritique: ")[0]
        return summary.replace(" He says: you idiot.", "") if "It quotes" in question else summary

    judged = [
        (e, [f"{e.references[0]} He says: you idiot." if k % 2 else e.references[0]])
        for k, e in enumerate(miniature(6))
    ]
    made = constitution.revisions(
        config(principles=["No insults.", "No threats."]),
        judged,
        *2 * [lambda questions: [write(one) for one in questions]],
    )
    assert [one.id for one in made] == ["t1-revised", "t3-revised", "t5-revised"], "the others said nothing wrong"
    for one in made:
        assert one.summaries[1] == f"{one.summaries[0]} He says: you idiot." and one.scores == (1.0, 0.0)
        assert one.category == "revision" and one.dialogue_id != one.id


def test_what_a_dialogue_holds_is_no_field_of_the_template() -> None:
    example = Example(id="e", dialogue_id="e", source="say {first} and {summary}", references=("x",))
    asked = constitution._asked(
        "{principle}|{source}|{first}|{second}|{third}", "be {source}", example, first="1", second="{first}"
    )
    assert asked == "be {source}|say {first} and {summary}|1|{first}|{third}"


@pytest.mark.parametrize("kind", ["t5", "llama", "gpt2"])
def test_a_real_model_answers_by_its_own_chances(
    context: Make, tiny_base: Path, decoder_templates: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A or B as its next token: the log-probabilities of a plain forward pass."""
    import torch

    if kind != "t5":
        shutil.rmtree(tiny_base)
        shutil.copytree(decoder_templates[kind], tiny_base)
    given = dataclasses.replace(context("ai", learns_from="models/base"), part="preferences")
    judge = models.load("base", "cpu")
    asked = "hello you are an idiot"
    found = constitution.asker(judge, constitution.Prompts())(asked)
    tool = judge.tokenizer
    if kind == "t5":
        logits = judge.model(
            **tool(asked, return_tensors="pt", return_token_type_ids=False), decoder_input_ids=torch.tensor([[0]])
        ).logits[0, -1]
        first = [constitution._answer_ids(judge, answer)[0] for answer in constitution.ANSWERS]
        assert found == pytest.approx([float(logits.log_softmax(-1)[token]) for token in first], abs=1e-5)
    else:
        prompt = tool(asked)["input_ids"]
        for answer, value in zip(constitution.ANSWERS, found, strict=True):
            more = tool(f" {answer}", add_special_tokens=False)["input_ids"]
            logprobs = judge.model(torch.tensor([prompt + more])).logits[0].log_softmax(-1)
            expected = sum(float(logprobs[len(prompt) - 1 + i, token]) for i, token in enumerate(more))
            assert value == pytest.approx(expected, abs=1e-4)
        monkeypatch.setattr(constitution, "ALWAYS", 2.0)  # a random model may well go by places
        made = constitution.rankings(config(revise=True), given)
        about = storage.read_json(given.work.folder / JUDGE)
        assert about["pairs"] > 0 and all(len(one.summaries) > 1 for one in made)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"principles": []}, "at least 1 item"),
        ({"prompts": {"judge": "{source} {first}"}}, r"must say once where the principle stands, as \{principle\}"),
        ({"prompts": {"revise": "{principle} {source} {summary}"}}, "where the critique stands"),
    ],
)
def test_what_it_is_asked_has_a_place_for_everything(block: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        config(**block)


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_answers_written_at_once_are_those_written_alone(
    tiny_base: Path, decoder_templates: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind != "t5":
        shutil.rmtree(tiny_base)
        shutil.copytree(decoder_templates[kind], tiny_base)
    judge = models.load("base", "cpu")
    asked = ["hello you are kind", "you", "hello hello meets home you are an idiot"]
    write = constitution.writer(judge, config(), False)
    written = write(asked)
    assert written == [write([one])[0] for one in asked]
    monkeypatch.setattr(
        generation, "generate", lambda *_: [[generation.Generated((5, 6), cut)] for cut in (False, True)]
    )
    assert constitution.writer(judge, config(), True)(asked[:2])[1] == "", "what is cut is no revision"
    assert constitution.writer(judge, config(), False)(asked[:2])[1]
