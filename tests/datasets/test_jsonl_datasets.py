"""DialogSum and SAMSum from local files: the real release where it is at hand, and broken files everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.core import paths, plugins
from bench.core.schema import UserError

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
        ("{", "line 11: not valid JSON (Expecting property name enclosed in double quotes at column"),
        ("\n{}", "line 11: not valid JSON"),
        ("[1]", "line 11: not a JSON object; mend"),
        ("[" * 5000, "line 11: nested too deeply; mend"),
        ('{"fname": "x", "dialogue": "hi"}', "line 11: field 'summary1' is missing; mend"),
        ('{"fname": "x", "summary": "hi"}', "line 11: field 'dialogue' is missing; mend"),
        ('{"fname": "x", "dialogue": "  ", "summary": "hi"}', "line 11: field 'dialogue' is empty; "),
        ('{"fname": "x", "dialogue": "hi", "summary": ""}', "line 11: field 'summary' is empty; "),
        (
            '{"fname": 5.5, "dialogue": "hi", "summary": "hi"}',
            "line 11: field 'fname' must hold text, and holds 5.5; mend",
        ),
        ('{"fname": "x", "dialogue": null, "summary": "hi"}', "field 'dialogue' must hold text, and holds null; mend"),
        ('{"fname": "=x", "dialogue": "hi", "summary": "hi"}', "line 11: id: Value error, must start with a letter"),
        (
            '{"fname": "x", "dialogue": "a\\u001b[31mb", "summary": "hi"}',
            "field 'dialogue' holds the control character U+001B at position 1",
        ),
        (
            '{"fname": "x", "dialogue": "hi", "summary": "a\\u0000"}',
            "field 'summary' holds the control character U+0000",
        ),
        (
            '{"fname": "x", "dialogue": "\\ud800", "summary": "hi"}',
            "field 'dialogue' holds the control character U+D800",
        ),
        ('{"fname": "d1", "dialogue": "hi", "summary": "hi"}', "line 11: the id 'd1' stands in line 2 too"),
    ],
)
def test_a_broken_row_is_named_by_its_line(folder: Path, line: str, said: str) -> None:
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError) as caught:
        load(folder)
    assert said in str(caught.value) and str(caught.value).startswith(str(folder / "train.jsonl"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("utf-16", "line 1: not UTF-8 text (invalid start byte at byte 0 of the line); save the file as UTF-8."),
        ("latin-1", "line 1: not UTF-8 text"),
        ("utf-8-sig", None),
    ],
)
def test_another_encoding_is_named(folder: Path, content: str, said: str | None) -> None:
    rows = [row | {"summary": "Sie grüßen."} for row in GOOD]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "train.jsonl").write_bytes(text.encode(content))
    if said is None:  # Windows editors mark UTF-8 so
        assert load(folder)["train"][0].references == ("Sie grüßen.",)
    else:
        with pytest.raises(UserError) as caught:
            load(folder)
        assert said in str(caught.value)


@pytest.mark.parametrize("name", ["../train.jsonl", "/etc/passwd", "a/../../b", ""])
def test_a_file_lies_below_the_datas_path(folder: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="file"):
        load(folder, file=name)


def test_a_file_that_cannot_be_read_is_one_sentence(folder: Path) -> None:
    (folder / "folder").mkdir()
    for name in ("folder", "x" * 5000, "a\x00b"):
        with pytest.raises(UserError, match=r"params\.yaml: data\.train\.file: .* name a readable file\.$"):
            load(folder, file=name)


def test_the_empty_dialogue_of_samsum_is_never_left_out_of_the_test_split(folder: Path) -> None:
    rows = [{"id": str(k), "dialogue": f"A: hi {k}", "summary": "They greet."} for k in range(3)]
    for name in ("train", "dev", "test"):
        write(
            folder / f"{name}.jsonl",
            [*rows, {"id": "9", "dialogue": "", "summary": "x"}][: 4 if name == "train" else 3],
        )
    assert [e.id for e in load(folder, "samsum")["train"]] == ["0", "1", "2"]
    write(folder / "test.jsonl", [{"id": "9", "dialogue": "", "summary": "x"}])
    with pytest.raises(UserError, match=r"test\.jsonl line 1: field 'dialogue' is empty"):
        load(folder, "samsum")


@pytest.mark.parametrize("name", ["dialogsum", "samsum"])
def test_validation_may_be_kept_back_from_the_training_file(folder: Path, name: str) -> None:
    rows = [{"fname": f"d{k}", "id": f"d{k}", "dialogue": f"A: hi {k}", "summary": "They greet."} for k in range(400)]
    write(
        folder / "train.jsonl",
        [*rows, {"fname": "e", "id": "e", "dialogue": "", "summary": "x"}][: 400 + (name == "samsum")],
    )
    write(folder / "test.jsonl", [rows[0] | {"fname": "t", "id": "t", "dialogue": "A: bye"}])
    module = plugins.find("dataset", name)
    files = {
        split: {"file": f"{file}.jsonl"} for split, file in zip(paths.SPLITS, ("train", "train", "test"), strict=True)
    }
    found = module.load(module.Config(dataset=name, path=str(folder), parts={"validation": 0.1}, **files))
    ids = {split: {example.id for example in found[split]} for split in paths.SPLITS}
    assert ids["train"] | ids["validation"] == {row["id"] for row in rows} and not ids["train"] & ids["validation"]
    assert 20 <= len(ids["validation"]) <= 62  # 40 +- 3.7 standard deviations of a coin for each
    assert ids["test"] == {"t"}
    with pytest.raises(ValueError, match="two splits name one file; add 'parts'"):
        module.Config(dataset=name, path=str(folder), **files).check_splits()


def test_a_missing_or_changed_file_is_refused(folder: Path) -> None:
    digest = hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
    assert load(folder, sha256=digest)
    with pytest.raises(UserError, match="sha256"):
        load(folder, sha256="0" * 64)
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


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_misspelt_column_is_the_header_s_fault(tmp_path: Path, ending: str) -> None:
    import pandas

    frame = pandas.DataFrame([{"id": "a", "dialog": "A: hi", "summary": "hi"}])
    for split in ("train", "dev", "test"):
        path = tmp_path / f"{split}.{ending}"
        frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False, sep=",\t"[ending == "tsv"])
    module = plugins.find("dataset", "samsum")
    files = {"train": {"file": f"train.{ending}"}, "validation": {"file": f"dev.{ending}"}}
    config = module.Config(dataset="samsum", path=str(tmp_path), **files, test={"file": f"test.{ending}"})
    with pytest.raises(UserError, match=rf"train\.{ending}: there is no column 'dialogue'; did you mean 'dialog'\?"):
        module.load(config)


def test_a_number_names_a_dialogue_as_well_as_a_word(tmp_path: Path) -> None:
    """SAMSum's own files are lists, and some have ids that are numbers."""
    for number, split in enumerate(("train", "dev", "test")):
        (tmp_path / f"{split}.json").write_text(json.dumps([{"id": number, "dialogue": f"A: {split}", "summary": "x"}]))
    module = plugins.find("dataset", "samsum")
    files = {"train": {"file": "train.json"}, "validation": {"file": "dev.json"}, "test": {"file": "test.json"}}
    found = module.load(module.Config(dataset="samsum", path=str(tmp_path), **files))
    assert [found[split][0].id for split in ("train", "validation", "test")] == ["0", "1", "2"]
