"""What another system wrote: each test dialogue's summary once, or one sentence that names file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from bench.core.schema import Example, UserError
from bench.data import outputs, tables

EXAMPLES = [
    Example(id=f"e{k}", dialogue_id=f"d{k}", source="hello", references=("r",)) for k in range(3)
]  # as in the hub's DialogSum, an example's id and its dialogue's differ


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    frame = pandas.DataFrame(rows)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("field", tables.SUMMARIES)
@pytest.mark.parametrize("name", ["e", "d"])
def test_a_table_in_any_order(tmp_path: Path, ending: str, field: str, name: str) -> None:
    rows = [{"id": f"{name}{k}", field: f" é, {k}\n"} for k in (2, 0, 1)]
    assert outputs.read(written(tmp_path / f"x.{ending}", rows), EXAMPLES) == ["é, 0", "é, 1", "é, 2"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_lines_are_in_the_order_of_the_test_split(tmp_path: Path, end: str) -> None:
    (tmp_path / "x.txt").write_bytes(f"\ufeffone\r\n\n three{end}".encode())
    assert outputs.read(tmp_path / "x.txt", EXAMPLES) == ["one", "", "three"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", "a\nb\n", r"x\.txt: 2 lines, and data/test\.jsonl holds 3 dialogues; give one summary a line"),
        ("x.txt", "a\nb\nc\n\n", "4 lines"),
        ("x.txt", b"\xff\nb\nc", r"x\.txt: not UTF-8"),
        ("x.pkl", "[]", "there is no reader for '.pkl'"),
        (
            "x.jsonl",
            '{"id": "e0", "summary": "a"}\n',
            "2 of 3 dialogues of data/test.jsonl have no summary, the first is 'e1'",
        ),
        ("x.jsonl", '{"id": "e0", "summary": "a"}\n{"id": "d0", "summary": "b"}\n', "line 2: a second summary of 'd0'"),
        ("x.jsonl", '{"id": "zz", "summary": "a"}\n', "line 1: dialogues of data/test.jsonl hold no 'zz'"),
        ("x.jsonl", '{"id": "e0"}\n', "line 1: none of the columns id is known to hold the summary"),
        ("x.jsonl", '{"summary": "a"}\n', "line 1: none of the columns summary is known to hold the id"),
        ("x.jsonl", '{"id": true, "summary": "a"}\n', "line 1: field 'id' must hold text"),
        ("x.jsonl", '{"id": "e0", "summary": null}\n', "line 1: field 'summary' must hold text"),
        ("x.jsonl", "[]\n", "line 1: not an object with fields"),
        ("x.jsonl", "{\n", "line 1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=said):
        outputs.read(tmp_path / name, EXAMPLES)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.txt does not exist; put the file of summaries there"):
        outputs.read(tmp_path / "x.txt", EXAMPLES)
