"""Every source of preferences makes rankings whose order is right, and says what is wrong with a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core import plugins
from bench.core.schema import Example, UserError
from bench.data.texts import sentences
from bench.miniature import dialogues, facts
from bench.preferences import damaged
from bench.rankings import Ranking, preferences
from bench.training.context import TrainContext

Make = Callable[..., TrainContext]


def rankings(context: TrainContext, source: str, **block: Any) -> list[Ranking]:
    module = plugins.find("preferences source", source)
    config = module.Config(source=source, init=context.init, learns_from=context.learns_from, **block)
    found: list[Ranking] = module.rankings(config, context)
    return found


@pytest.fixture(scope="module")
def miniature() -> list[Example]:
    found = dialogues.study(0, train=300, validation=1, test=1, heated=0.3)["train"]
    return [
        Example(id=f"t{k}", dialogue_id=f"t{k}", source=d.source, references=d.references, facts=dict(d.facts))
        for k, d in enumerate(found)
    ]


def test_what_is_damaged_is_less_true(context: Make, miniature: list[Example]) -> None:
    """The grammar is the judge: a damage that changes what is stated makes it wrong or leaves it out."""
    given = dataclasses.replace(context("damaged"), train=miniature)
    found, by_id = rankings(given, "damaged", prompts=300, steps=1), {e.id: e for e in miniature}
    assert len(found) == 300 and {len(one.summaries) for one in found} == {2}
    kinds = {one.labels[1] for one in found}
    assert kinds == set(damaged.DAMAGES)
    for one in found:
        right, worse = (facts.judge(text, by_id[one.id].facts) for text in one.summaries)
        assert one.labels[0] == "reference" and one.summaries[0] == by_id[one.id].references[0]
        if one.labels[1] in ("wrong fact", "wrong ending"):
            assert worse.right < right.right or worse.wrong > right.wrong, one.summaries
        if one.labels[1] == "omission":
            assert set(sentences(one.summaries[1])) < set(sentences(one.summaries[0]))
        if one.labels[1] == "people swapped":
            assert worse.wrong > right.wrong, one.summaries
        if one.labels[1] == "insult quoted":
            assert by_id[one.id].facts["insult"] in one.summaries[1] and one.summaries[1].startswith(one.summaries[0])
        if one.labels[1] == "repeated":
            assert len(one.summaries[1]) > len(one.summaries[0])


def test_each_step_damages_once_more_and_in_another_way(context: Make, miniature: list[Example]) -> None:
    given = dataclasses.replace(context("damaged"), train=miniature)
    for one in rankings(given, "damaged", prompts=100, steps=3):
        assert one.scores == tuple(float(-k) for k in range(len(one.scores)))
        assert len(set(one.labels)) == len(one.labels) and len(set(one.summaries)) == len(one.summaries)
    assert rankings(given, "damaged", prompts=100) == rankings(given, "damaged", prompts=100)


def test_texts_without_known_facts_are_damaged_too(context: Make) -> None:
    """DialogSum's form: people as #Person1#, names and numbers in the text."""
    plain = [
        Example(
            id=f"p{k}",
            dialogue_id=f"p{k}",
            source=f"#Person1#: I meet Anna at {k + 1}:30.\n#Person2#: And Bob at {k + 2}:15.",
            references=(f"#Person1# meets Anna at {k + 1}:30. #Person2# says it is fine at {k + 5}.",),
        )
        for k in range(40)
    ]
    found = rankings(dataclasses.replace(context("damaged"), train=plain), "damaged", steps=1)
    assert {one.labels[1] for one in found} == set(damaged.DAMAGES) - {"insult quoted"}
    assert all(one.summaries[0] != one.summaries[1] for one in found)


def test_samples_are_ranked_by_the_reward(context: Make) -> None:
    from bench.classifiers import loading

    given = context("own", learns_from="models/reward")
    samples = {"prompts": 6, "samples": 8, "max_new_tokens": 8}
    found = rankings(given, "sampled", samples=samples, reward={"label": "nothate"})
    classifier = loading.load("reward", "cpu")
    assert found
    for one in found:
        logits = classifier.logits(one.summaries)[:, classifier.column("nothate")]
        assert one.scores == pytest.approx(logits.tolist(), abs=1e-5)
        assert len(one.token_ids) == len(one.summaries) and all(ids[-1] == 1 for ids in one.token_ids)
        assert one.references == next(e.references for e in given.train if e.id == one.id)


def test_samples_are_ranked_by_a_metric(context: Make) -> None:
    found = rankings(
        context("own"),
        "sampled",
        samples={"prompts": 4, "samples": 8, "max_new_tokens": 8},
        reward={"metric": "length"},
    )
    assert [one.scores for one in found] == [tuple(float(len(s.split())) for s in one.summaries) for one in found]


def write(path: str, rows: list[dict[str, Any]]) -> str:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_three_forms_of_a_file_say_the_same(context: Make) -> None:
    source, good, bad = "#Person1#: hi", "a good one", "a bad one"
    forms: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "pair": ({"chosen": good, "rejected": bad}, {"chosen": "chosen", "rejected": "rejected"}),
        "scores": ({"all": [bad, good], "points": [1, 4]}, {"summaries": "all", "scores": "points"}),
        "ranks": ({"all": [bad, good], "place": [2, 1]}, {"summaries": "all", "ranks": "place"}),
        "wins": (
            {"a": bad, "b": good, "won": "second"},
            {"first": "a", "second": "b", "winner": "won"},
        ),
    }
    for name, (row, columns) in forms.items():
        path = write(f"{name}.jsonl", [{"source": source, "kind": "easy", **row}])
        (one,) = rankings(context(name, learns_from=path), "files", columns=columns | {"category": "kind"})
        (pair,) = preferences([one])
        assert (pair.chosen, pair.rejected, pair.category, pair.source) == (good, bad, "easy", source), name
    tie = write("tie.jsonl", [{"source": source, "a": bad, "b": good, "won": "tie"}])
    (one,) = rankings(context("tie", learns_from=tie), "files", columns=forms["wins"][1])
    assert preferences([one]) == []


def test_a_csv_serves_as_well(context: Make) -> None:
    Path("p.csv").write_text("dialogue,better,worse,n\nhello you,one,two,d1\n")
    columns = {"source": "dialogue", "chosen": "better", "rejected": "worse", "dialogue_id": "n"}
    (one,) = rankings(context("p", learns_from="p.csv"), "files", columns=columns)
    assert one.dialogue_id == "d1" and one.summaries == ("one", "two")


@pytest.mark.parametrize(
    ("row", "columns", "said"),
    [
        ({"source": "s", "chosen": "a"}, None, r"line 1: there is no column 'rejected'; it has: source, chosen"),
        ({"source": "s", "chosen": 3, "rejected": "b"}, None, r"line 1: field 'chosen' must hold text"),
        (
            {"source": "s", "a": "x", "b": "y", "w": "a"},
            {"first": "a", "second": "b", "winner": "w"},
            r"line 1: field 'w' must be first, second or tie, got 'a'",
        ),
        (
            {"source": "s", "all": ["x", "y"], "points": ["1", "2"]},
            {"summaries": "all", "scores": "points"},
            r"'all' must be a list of texts and 'points' one of numbers",
        ),
        (
            {"source": "s", "all": ["x", "y", "z"], "points": [1, 2]},
            {"summaries": "all", "scores": "points"},
            r"line 1: .*'scores' has 2 entries for 3 summaries",
        ),
    ],
)
def test_a_row_of_another_form_is_said(
    context: Make, row: dict[str, Any], columns: dict[str, str] | None, said: str
) -> None:
    path = write("x.jsonl", [row])
    with pytest.raises(UserError, match=said):
        rankings(context("x", learns_from=path), "files", **({"columns": columns} if columns else {}))


def test_two_forms_at_once_are_refused(context: Make) -> None:
    with pytest.raises(ValueError, match="name the columns of one form"):
        rankings(context("x"), "files", columns={"chosen": "a", "rejected": "b", "winner": "c"})


def rated() -> list[dict[str, Any]]:
    given = {"A": [(5, 5), (4, 4), (5, 3)], "B": [(2, 5), (1, 4), (5, 3)], "C": [(3, 1), (3, 1), (3, 1)]}
    return [
        {
            "id": "d1",
            "dialogue": "hello",
            "summary": f"by {system}",
            "model_id": system,
            "annotations": [{"consistency": c, "fluency": f} for c, f in raters],
        }
        for system, raters in given.items()
    ]


def test_ratings_are_averaged_over_the_raters_that_count(context: Make) -> None:
    path = write("r.jsonl", rated())
    both = rankings(context("r", learns_from=path), "ratings", dimensions=["consistency", "fluency"])
    assert {one.category: one.scores for one in both}["consistency"] == pytest.approx((14 / 3, 8 / 3, 3))
    assert both[1].labels == ("A", "B", "C") and both[0].source == "hello"
    (third,) = rankings(context("r", learns_from=path), "ratings", dimensions=["consistency"], raters=[2])
    assert third.scores == (5, 5, 3) and third.rater == "2"
    assert {(p.chosen, p.rejected) for p in preferences([third])} == {("by A", "by C"), ("by B", "by C")}
    (other,) = rankings(context("r", learns_from=path), "ratings", dimensions=["fluency"], reference="A")
    assert other.labels == ("B", "C") and other.references == ("by A",)


@pytest.mark.parametrize(
    ("change", "block", "said"),
    [
        ({"annotations": 4}, {}, "the ratings must be a list with a mapping for each rater"),
        ({}, {"raters": [3]}, "3 raters, and rater 3 is asked for"),
        ({}, {"dimensions": ["relevance"]}, "no rating of 'relevance' by every rater; it has: consistency, fluency"),
        ({}, {"columns": {"system": "who"}}, "there is no column 'who'"),
    ],
)
def test_ratings_of_another_form_are_said(
    context: Make, change: dict[str, Any], block: dict[str, Any], said: str
) -> None:
    path = write("r.jsonl", [{**row, **change} for row in rated()])
    with pytest.raises(UserError, match=rf"r\.jsonl line 1: {said}"):
        rankings(context("r", learns_from=path), "ratings", **{"dimensions": ["consistency"], **block})
