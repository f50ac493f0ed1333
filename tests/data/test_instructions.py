"""Rows of instructions in the forms that they are released in."""

from __future__ import annotations

from typing import Any

import pytest

from bench.data import instructions
from bench.data.instructions import Columns

ALPACA = {"instruction": "Sum these.", "input": "1, 2", "output": "3"}
SELF_INSTRUCT = {
    "id": "seed_task_0",
    "instruction": "Sum these.",
    "instances": [{"input": "1, 2", "output": "3"}, {"input": "4, 5", "output": "9"}],
    "is_classification": False,
}


@pytest.mark.parametrize("row", [ALPACA, SELF_INSTRUCT], ids=["alpaca", "self-instruct"])
def test_an_instruction_is_followed_by_what_it_is_about(row: dict[str, Any]) -> None:
    found = instructions.reader(Columns())(row)
    assert found and (found.source, found.references) == ("Sum these.\n\n1, 2", ("3",))


@pytest.mark.parametrize("about", ["", None, ...])
def test_an_instruction_may_be_about_nothing(about: Any) -> None:
    row = {key: value for key, value in {**ALPACA, "input": about}.items() if value is not ...}
    found = instructions.reader(Columns())(row)
    assert found and found.source == "Sum these."


def test_a_row_without_an_answer_or_the_same_again_is_none() -> None:
    read = instructions.reader(Columns())
    assert read(ALPACA) and read(ALPACA) is None
    assert read({**ALPACA, "output": ""}) is None and read({**ALPACA, "output": None}) is None
    other = read({**ALPACA, "output": "three"})
    assert other and other.dialogue_id == instructions.reader(Columns())(ALPACA).dialogue_id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input": "x", "output": "y"}, "instruction"),
        ({"instruction": "x"}, "output"),
        ({**ALPACA, "output": 3}, "'output' must hold text"),
        ({**ALPACA, "input": 3}, "'input' must hold text"),
        ({**ALPACA, "instruction": ""}, "'instruction' is empty"),
        ({"instruction": "x", "instances": []}, "'instances' must hold a list of objects"),
        ({"instruction": "x", "instances": "y"}, "'instances' must hold a list of objects"),
    ],
)
def test_a_row_at_fault_names_its_field(row: dict[str, Any], said: str) -> None:
    with pytest.raises((KeyError, ValueError), match=said):
        instructions.reader(Columns())(row)


def test_other_names_for_the_columns() -> None:
    read = instructions.reader(Columns(instruction="prompt", input="context", output="completion", id="n"))
    found = read({"prompt": "Say hi.", "completion": "Hi.", "n": 7})
    assert found and (found.id, found.source, found.references) == ("7", "Say hi.", ("Hi.",))
