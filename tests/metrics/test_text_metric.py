"""Surface facts, counted by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.metrics import ScoreContext, text


def context(rows):
    """`rows`: (dialogue, source, references, prediction, facts)."""
    examples = [Example(id=str(i), dialogue_id=row[0], source=row[1], references=row[2]) for i, row in enumerate(rows)]
    made = [
        Prediction(id=str(i), dialogue_id=row[0], output="greedy", draw=0, text=row[3], **row[4])
        for i, row in enumerate(rows)
    ]
    made += [one.model_copy(update={"output": "sample", "text": "other"}) for one in made]
    return ScoreContext("v", None, examples, made, TextConfig(), GenerationConfig(), "cpu")


def values(rows):
    return [row.values for row in text.score(text.Config(), context(rows))]


@pytest.mark.parametrize("case", text.EXAMPLES, ids=lambda case: case["from"])
def test_examples(case):
    (found,) = values([("d", case["source"], case["references"], case["prediction"], {})])
    assert {key: found[key] for key in case["values"]} == pytest.approx(case["values"])


def test_flags_come_from_the_prediction():
    flagged, plain = values(
        [("a", "x", ("y",), "one", {"hit_limit": True, "source_truncated": True}), ("b", "x", ("y",), "two", {})]
    )
    assert (flagged["hit_limit"], flagged["source_truncated"]) == (1, 1)
    assert (plain["hit_limit"], plain["source_truncated"]) == (0, 0)


def test_identical_counts_other_dialogues():
    found = values(
        [
            (dialogue, "x", ("y",), said, {})
            for dialogue, said in [
                ("a", "They talk."),
                ("a", "They talk."),
                ("b", "They  talk. "),
                ("c", "they talk."),
                ("d", "They talk."),
            ]
        ]
    )
    assert [row["identical"] for row in found] == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0, 2 / 3])


def test_case_and_punctuation_do_not_hide_copying():
    (found,) = values([("a", "#Person1#: It's LATE, go home!", ("y",), "It's late. Go home", {})])
    assert found["copy_rate"] == 1 and found["words"] == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=4))
def test_shares_stay_shares(texts):
    for found in values([(str(i), "a b", ("c",), one, {}) for i, one in enumerate(texts)]):
        assert all(0 <= value <= 1 for key, value in found.items() if key not in {"words", "length_ratio"})
        assert set(found) == set(text.columns(text.Config()))


def test_columns_and_signature():
    columns = text.columns(text.Config())
    assert {key for key, column in columns.items() if column.higher_is_better is False} == {
        "hit_limit",
        "empty",
        "repetition",
    }
    assert not any(column.higher_is_better for column in columns.values())
    assert text.signature(text.Config(), context([])) == {key: f"{key}|bench-text-1" for key in columns}
    assert text.score(text.Config(), context([])) == []
