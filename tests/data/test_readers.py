"""Rows come out as Python's own readers and pyarrow give them; what is no table is one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench.core.schema import UserError
from bench.data import readers

ROWS = [
    {"id": "a", "dialogue": '#Person1#: Hi, "you"\r\n#Person2#: Bye;\tnow', "summary": "NA"},
    {"id": "b", "dialogue": "über 9,000 | `code`\n\nend", "summary": ""},
]


def read(path: Path) -> list[dict[str, str]]:
    return [row() for _, row in readers.rows(path)]


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    with (tmp_path / "x.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    with (tmp_path / "x.tsv").open("w", encoding="utf-8", newline="") as file:
        tabs = csv.DictWriter(file, ROWS[0], delimiter="\t")
        tabs.writeheader()
        tabs.writerows(ROWS)
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n \n")
    (tmp_path / "x.json").write_text(json.dumps(ROWS, indent=2))
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "x.parquet")
    assert all(read(tmp_path / f"x{ending}") == ROWS for ending in readers.READERS)


def test_a_cell_may_be_as_long_as_a_meeting(tmp_path: Path) -> None:
    """Python's own reader stops at 131,072 characters, whatever a study allows."""
    path = tmp_path / "x.csv"
    path.write_text(f"id,text\n1,{'word ' * 60_000}\n")
    assert len(read(path)[0]["text"]) == 300_000


def test_a_line_that_was_lost_between_others_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1}\n\n{"id": 2}\n\n')
    rows = list(readers.rows(path))
    assert [number for number, _ in rows] == [1, 2, 3]
    with pytest.raises(ValueError):
        rows[1][1]()


def test_the_number_is_the_line_a_row_starts_on(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id,text\n1,"two\nlines"\n\n2,one\n3,a,b\n')
    rows = list(readers.rows(path))
    assert [number for number, _ in rows] == [2, 5, 6]
    assert rows[0][1]() == {"id": "1", "text": "two\nlines"}
    with pytest.raises(ValueError, match="3 fields under a header of 2"):
        rows[2][1]()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.pkl", b"", "no reader for '.pkl'; name one of: .jsonl, .json, .csv, .tsv, .parquet"),
        ("x.py", b"print()", "no reader for '.py'"),
        ("x.csv", b'id\n1\n"open', "line 3: not CSV"),
        ("x.csv", b'id\n"a"b\n', "line 2: not CSV"),
        ("x.csv", b"id\n\xff\n", "not CSV in UTF-8"),
        ("x.tsv", b"id\n\xff\n", "not TSV in UTF-8"),
        ("x.json", b'{"id": 1}\n{"id": 2}', "not JSON in UTF-8"),
        ("x.json", b'{"id": 1}', "must hold a list of objects; an object a line is a .jsonl file"),
        ("x.json", b"[" * 100_000, "not JSON in UTF-8"),
        ("x.parquet", b"version https://git-lfs", "not Parquet"),
    ],
)
def test_no_table_is_one_sentence(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(readers.rows(path))
    assert said in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
