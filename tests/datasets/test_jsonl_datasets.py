"""DialogSum and SAMSum from local files: the real release where it is at hand, and broken files everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bench import plugins
from bench.schema import UserError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
GOOD = [
    {"fname": f"d{i}", "dialogue": f"#Person1#: hi {i}\n#Person2#: bye", "summary": f"They greet {i}."}
    for i in range(10)
]
TEST = [{"fname": "t0", "dialogue": "#Person1#: hi", "summary1": "a", "summary2": "b", "summary3": "c"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "train.jsonl", GOOD)
    write(tmp_path / "dev.jsonl", GOOD[:2])
    write(tmp_path / "test.jsonl", TEST)
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(folder: Path, name: str = "dialogsum", **train: Any) -> dict[str, Any]:
    module = plugins.find("dataset", name)
    files = {
        "train": {"file": "train.jsonl", **train},
        "validation": {"file": "dev.jsonl"},
        "test": {"file": "test.jsonl"},
    }
    return module.load(module.Config(dataset=name, path=str(folder), **files))


def test_rows_are_read_as_they_are(folder: Path) -> None:
    splits = load(folder)
    assert [len(splits[s]) for s in ("train", "validation", "test")] == [10, 2, 1]
    assert splits["test"][0].references == ("a", "b", "c")
    assert splits["train"][3].source == GOOD[3]["dialogue"]


def test_every_and_first_choose_rows(folder: Path) -> None:
    assert [e.id for e in load(folder, every=3)["train"]] == ["d0", "d3", "d6", "d9"]
    assert [e.id for e in load(folder, every=3, first=2)["train"]] == ["d0", "d3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 11"),
        ('{"fname": "x", "dialogue": "hi"}', "summary"),
        ('{"fname": "x", "summary": "hi"}', "field 'dialogue' is missing"),
        ('{"fname": "x", "dialogue": "  ", "summary": "hi"}', "line 11"),
        ('{"fname": "d1", "dialogue": "hi", "summary": "hi"}', "'d1' stands twice"),
        ('{"fname": 5, "dialogue": "hi", "summary": "hi"}', "line 11"),
        ('{"fname": "x", "dialogue": null, "summary": "hi"}', "line 11"),
        ("[1]", "line 11"),
        ("", "line 11"),
    ],
)
def test_a_broken_row_is_named_by_its_line(folder: Path, line: str, said: str) -> None:
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=said) as caught:
        load(folder)
    assert "train.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_or_changed_file_is_refused(folder: Path) -> None:
    digest = hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
    assert load(folder, sha256=digest)
    with pytest.raises(UserError, match="sha256"):
        load(folder, sha256="0" * 64)
    (folder / "train.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match="line 1"):
        load(folder)
    (folder / "train.jsonl").write_text("")
    with pytest.raises(UserError, match="no dialogue"):
        load(folder)
    (folder / "train.jsonl").unlink()
    with pytest.raises(UserError, match="does not exist"):
        load(folder)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data with the real datasets is not on this machine")
def test_the_real_releases_have_their_published_sizes() -> None:
    dialogsum = plugins.find("dataset", "dialogsum")
    files = {
        s: {"file": f"dialogsum.{f}.jsonl"} for s, f in (("train", "train"), ("validation", "dev"), ("test", "test"))
    }
    splits = dialogsum.load(dialogsum.Config(dataset="dialogsum", path=str(SHARED / "dialogsum"), **files))
    assert [len(rows) for rows in splits.values()] == [12460, 500, 500]
    assert {len(e.references) for e in splits["test"]} == {3} and {len(e.references) for e in splits["train"]} == {1}
    samsum = plugins.find("dataset", "samsum")
    files = {s: {"file": f"samsum.{f}.jsonl"} for s, f in (("train", "train"), ("validation", "val"), ("test", "val"))}
    splits = samsum.load(samsum.Config(dataset="samsum", path=str(SHARED / "samsum"), **files))
    assert [len(rows) for rows in splits.values()] == [14731, 818, 818]
    assert not any("\r" in e.source for e in splits["train"])
