"""A study of somebody's own files: columns found or asked for, splits made, checked, and run by the stages as any other."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas
import pytest

from bench import cli, config, datasets
from bench.core import parameters, paths
from bench.core.schema import Example

ROOT = Path(__file__).resolve().parents[2]
ROWS = [{"nr": k, "Conversation": f"A: hello {k % 190}\nB: bye", "gist": f"They greet {k}."} for k in range(200)]


@pytest.fixture
def project(workdir: Path, reward_template: Path, base_template: Path) -> Path:
    (workdir / "studies").mkdir()
    (workdir / "mine").mkdir()
    shutil.copytree(reward_template, workdir / "local" / "reward")
    shutil.copytree(base_template, workdir / "local" / "base")
    pandas.DataFrame(ROWS).to_csv("mine/tickets.csv", index=False)
    return workdir


def new(*words: str, columns: tuple[str, ...] = ("reference=gist",)) -> int:
    given = ["new", "tickets", "--data", *words, "--base", "local/base", "--reward", "local/reward"]
    return cli.main([*given, *(["--columns", *columns] if columns else [])])


def loaded() -> tuple[parameters.Params, dict[str, list[Example]]]:
    params = config.read(paths.study_path("tickets"))
    return params, datasets.find(params.data.dataset).load(params.data)


def test_one_file_becomes_a_study_with_three_splits(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new("mine/tickets.csv") == 0
    assert "next: bench use tickets && dvc repro" in capsys.readouterr().out
    assert cli.main(["use", "tickets"]) == 0
    active = Path("params.yaml").read_text()
    assert 'sources: {"data": "mine", "checkpoint-base": "local/base", "checkpoint-reward": "local/reward"}' in active
    _, found = loaded()
    sizes = {split: len(found[split]) for split in paths.SPLITS}
    assert sum(sizes.values()) == 190  # ten dialogues have two rows, and so two references
    assert 8 <= sizes["test"] <= 32 and 8 <= sizes["validation"] <= 32
    assert sum(len(example.references) for split in found.values() for example in split) == 200
    again = {split: [example.id for example in some] for split, some in loaded()[1].items()}
    assert again == {split: [example.id for example in some] for split, some in found.items()}
    more = [*ROWS, {"nr": 900, "Conversation": "C: new", "gist": "x"}]
    pandas.DataFrame(more).to_csv("mine/tickets.csv", index=False)  # more rows move none of those that are there
    after = loaded()[1]
    assert all({e.id for e in found[split]} <= {e.id for e in after[split]} for split in paths.SPLITS)


@pytest.mark.parametrize(("count", "wanted"), [(2, {"train", "validation"}), (3, {"train"})])
def test_more_files_are_more_splits(project: Path, count: int, wanted: set[str]) -> None:
    names = []
    for k in range(count):
        part = [row | {"Conversation": f"{row['Conversation']} {k}"} for row in ROWS[:40]]
        pandas.DataFrame(part).to_json(f"mine/{k}.jsonl", orient="records", lines=True)
        names.append(f"mine/{k}.jsonl")
    assert new(*names) == 0
    _, found = loaded()
    assert len(found["test"]) == 40
    first = {f"{row['Conversation']} 0" for row in ROWS[:40]}
    assert {split for split in paths.SPLITS if {e.source for e in found[split]} & first} == wanted


@pytest.mark.parametrize(
    ("words", "columns", "said"),
    [
        (
            ("mine/tickets.csv",),
            (),
            r"none of the columns nr, Conversation, gist is known to hold the reference; say which with --columns reference=NAME",
        ),
        (("mine/tickets.csv",), ("reference=gis",), "there is no column 'gis'; it has: nr, Conversation, gist"),
        (("mine/tickets.csv",), ("summary=gist",), "'summary' is none of dialogue, reference, id"),
        (("mine/none.csv",), ("reference=gist",), "mine/none.csv does not exist"),
        (("mine/tickets.csv", "other.csv"), ("reference=gist",), "lies in another folder"),
    ],
)
def test_what_cannot_be_told_is_asked_for_in_a_sentence(
    project: Path, words: Any, columns: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.csv").write_text("a\n1\n")
    assert new(*words, columns=columns) == 1
    assert said in capsys.readouterr().err
    assert not list((project / "studies").iterdir())


def test_a_study_that_is_there_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "studies" / "tickets.yaml").write_text("mine")
    assert new("mine/tickets.csv") == 1
    assert "studies/tickets.yaml exists" in capsys.readouterr().err
    assert (project / "studies" / "tickets.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parts": None}, "two splits name one file; add 'parts'"),
        ({"train": {"file": "a.csv"}}, "parts are kept back from the training file alone"),
    ],
)
def test_splits_of_one_file_need_parts(changes: dict[str, Any], said: str) -> None:
    from bench.datasets import files

    block = {"dataset": "files", "path": "x", "columns": {"dialogue": "d", "references": ["r"]}, "parts": {}}
    block |= {split: {"file": "x.csv"} for split in paths.SPLITS}
    with pytest.raises(ValueError, match=said):
        files.Config(**(block | changes)).check_splits()
    tagged = {split: {"file": "x.csv", "tag": split} for split in paths.SPLITS}
    files.Config(**(block | {"parts": None} | tagged)).check_splits()
    half = tagged | {"train": {"file": "x.csv"}}  # every row, those of the other splits too
    with pytest.raises(ValueError, match="or give each a 'tag' of its own"):
        files.Config(**(block | {"parts": None} | half)).check_splits()


def test_the_labels_that_are_named_are_the_only_ones_that_are_looked_for(project: Path) -> None:
    given = ["new", "tickets", "--data", "mine/tickets.csv", "--base", "local/base", "--columns", "reference=gist"]
    assert cli.main([*given, "--toxic", "rude", "--clean", "kind"]) == 0
    params, _ = loaded()
    assert {label for checkpoint, label in params.labels.values() if checkpoint == "reward"} == {"rude", "kind"}
