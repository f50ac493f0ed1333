"""What every row must be, and what a message to the user looks like whatever it quotes."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from bench.core.schema import Example, Prediction, ScoreRow, UserError

GOOD = {
    "id": "train_0",
    "dialogue_id": "train_0",
    "source": "#Person1#: hi\r\n\tbye 👩‍👩",
    "references": ["They greet."],
}


def test_a_row_as_datasets_have_it_is_taken() -> None:
    assert Example.model_validate(GOOD).references == ("They greet.",)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("source", "a\x00b", "control character U+0000 at position 1"),
        ("source", "\x1b[31mred", "control character U+001B"),
        ("source", "a\x9bb", "control character U+009B"),
        ("source", " \n", "is empty"),
        ("references", ["ok", ""], "is empty"),
        ("references", ["\x07"], "control character U+0007"),
        ("source", "half a pair \ud800", "control character U+D800 at position 12"),
        ("id", "", "must start with a letter"),
        ("id", "=1+1", "must start with a letter"),
        ("id", "+1", "must start with a letter"),
        ("id", "-1", "must start with a letter"),
        ("id", "@SUM(A1)", "must start with a letter"),
        ("id", "a\nb", "one line"),
        ("id", "a\x1b[2J", "one line"),
        ("id", "a\u202eb", "one line"),
        ("id", "a\u200bb", "one line"),
        ("id", "a" * 201, "at most 200"),
        ("dialogue_id", "\tx", "must start with a letter"),
        ("tags", ["ok", "=x"], "must start with a letter"),
        ("id", 5, "valid string"),
        ("more", 5, "not permitted"),
    ],
)
def test_a_row_that_reports_could_not_show_is_refused(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        Example.model_validate(GOOD | {field: value})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "null", '"1"'])
def test_a_score_is_a_finite_number(number: str) -> None:
    line = '{"id": "a", "dialogue_id": "a", "output": "greedy", "draw": 0, "metric": "m", "values": {"x": %s}}'
    assert ScoreRow.model_validate_json(line % "0.5").values == {"x": 0.5}
    if number != '"1"':  # the row types read what other programs write, and some quote their numbers
        with pytest.raises(ValidationError):
            ScoreRow.model_validate_json(line % number)


def test_a_token_is_no_negative_number() -> None:
    with pytest.raises(ValidationError, match="token_ids"):
        Prediction(id="a", dialogue_id="a", output="greedy", draw=0, text="", token_ids=(3, -1))


def test_a_message_is_one_short_line_whatever_it_quotes() -> None:
    assert str(UserError("a\nb \x1b[31mred\x1b[0m\u202e \x00c")) == "a b red c"
    long = str(UserError("start " + "x" * 100_000 + " end"))
    assert len(long) < 1000 and long.startswith("start x") and long.endswith("x end")
