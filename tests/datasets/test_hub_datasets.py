"""DialogSum and SAMSum as the hub holds them: CSV files, a test dialogue's three references in three rows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.core import plugins
from bench.core.schema import UserError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
COMMIT = "d" * 40
COLUMNS = ["id", "dialogue", "summary", "topic"]


def table(*rows: tuple[str, str, str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([COLUMNS, *((*row, "a topic") for row in rows)])
    return text.getvalue().encode()


FILES = {
    "train.csv": table(*((f"train_{i}", f"#Person1#: hi, {i}\n#Person2#: bye", f"They greet {i}.") for i in range(5))),
    "validation.csv": table(("dev_0", "#Person1#: hi", "Hi.")),
    "test.csv": table(
        *((f"test_{i}_{k}", f"#Person1#: hi {i}", f"Reference {k} of {i}.") for i in (0, 1) for k in (1, 2, 3))
    ),
    "loader.py": b"raise SystemExit('run')",
}


def load(name: str = "dialogsum", revision: str = COMMIT, **split: Any) -> dict[str, Any]:
    module = plugins.find("dataset", name)
    files = {key: {"file": f"{key}.csv"} for key in ("train", "validation", "test")} | split
    return module.load(module.Config(dataset=name, repo="knkarthick/dialogsum", revision=revision, **files))


@pytest.fixture
def served(hub_here: Any) -> Any:
    hub_here.add("dataset", "knkarthick/dialogsum", COMMIT, FILES)
    return hub_here


def test_three_rows_of_a_dialogue_become_one_example(served: Any) -> None:
    splits = load()
    assert [len(rows) for rows in splits.values()] == [5, 1, 2]
    assert splits["test"][1].references == tuple(f"Reference {k} of 1." for k in (1, 2, 3))
    assert [(row.id, row.dialogue_id) for row in splits["test"]] == [("test_0", "test_0"), ("test_1", "test_1")]
    assert splits["train"][3].source == "#Person1#: hi, 3\n#Person2#: bye"
    assert not any("loader.py" in path for path in served.asked)


def test_rows_are_chosen_among_dialogues(served: Any) -> None:
    assert [row.id for row in load(test={"file": "test.csv", "first": 1})["test"]] == ["test_0"]


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (table(("test_0_1", "one", "x"), ("test_0_2", "two", "y")), "the rows of 'test_0' hold different dialogues"),
        (table(("test_0_1", "one", "x"), ("test_0_1", "one", "y")), "line 3: the id 'test_0_1' stands in line 2 too"),
        (b"id,dialogue\ntest_0_1,one\n", "there is no column 'summary1'; known: id, dialogue."),
        (b"id,dialogue,summary\ntest_0_1,one\n", "line 2: 2 fields under a header of 3"),
    ],
)
def test_broken_rows_are_named(served: Any, test: bytes, said: str) -> None:
    served.add("dataset", "knkarthick/dialogsum", "e" * 40, FILES | {"test.csv": test})
    with pytest.raises(UserError) as caught:
        load(revision="e" * 40)
    assert said in str(caught.value) and "test.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_the_commit_lacks_is_named_with_those_it_holds(served: Any) -> None:
    with pytest.raises(UserError, match=r"data\.test\.file: .*no 'tst\.csv'; name one of: loader\.py, test\.csv"):
        load(test={"file": "tst.csv"})


def test_a_dataset_that_is_a_script_is_not_run(served: Any) -> None:
    with pytest.raises(UserError, match=r"no reader for '\.py'"):
        load(train={"file": "loader.py"})


def test_a_folder_or_the_hub_and_not_both() -> None:
    module = plugins.find("dataset", "samsum")
    files = {key: {"file": "x.csv"} for key in ("train", "validation", "test")}
    for place in ({}, {"path": "here", "repo": "org/there"}):
        with pytest.raises(ValidationError, match="give either 'path', a folder, or 'repo'"):
            module.Config(dataset="samsum", **files, **place)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data with the real datasets is not on this machine")
def test_the_hub_s_layout_gives_the_examples_of_the_authors_files(hub_here: Any) -> None:
    """The real rows, written as the hub's table has them, against the same rows from the authors' JSONL."""
    files, names = {}, {"train": "train", "validation": "dev", "test": "test"}
    for split, name in names.items():
        rows = []
        for line in (SHARED / "dialogsum" / f"dialogsum.{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            several = [
                (f"{row['fname']}_{k}", row["dialogue"], row[f"summary{k}"]) for k in (1, 2, 3) if "summary1" in row
            ]
            rows += several or [(row["fname"], row["dialogue"], row["summary"])]
        files[f"{split}.csv"] = table(*rows)
    hub_here.add("dataset", "knkarthick/dialogsum", COMMIT, files)
    module = plugins.find("dataset", "dialogsum")
    local = {split: {"file": f"dialogsum.{name}.jsonl"} for split, name in names.items()}
    assert load() == module.load(module.Config(dataset="dialogsum", path=str(SHARED / "dialogsum"), **local))
