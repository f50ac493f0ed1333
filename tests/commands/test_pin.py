"""`bench pin` writes commits into a study and nothing else; what it cannot look up leaves the file as it was."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import cli, config
from bench.commands import pin
from bench.core import editing

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
COMMIT, TAGGED = "c" * 40, "d" * 40
MODEL = {"config.json": b"{}", "model.safetensors": b""}
TABLES = {f"{split}.csv": b"id" for split in ("train", "validation", "test")}


@pytest.fixture
def project(workdir: Path, hub_here: Any) -> Path:
    shutil.copytree(ROOT / "studies", workdir / "studies")
    path = workdir / "studies" / "thesis.yaml"
    path.write_text(path.read_text().replace("7bcac572ce56db69c1ea7c8af255c5d7c9672fc2", "v1.0"))
    hub_here.add("dataset", "knkarthick/dialogsum", COMMIT, TABLES)
    hub_here.add("model", "google/flan-t5-base", TAGGED, MODEL, "v1.0")
    return workdir


def changed(old: str, new: str) -> list[str]:
    return [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[:2] in ("- ", "+ ")]


def test_names_become_commits_and_nothing_else_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "studies" / "thesis.yaml"
    old = path.read_text()
    assert set(pin.unpinned(config.read(path))) == {"data", "checkpoints.base"}
    assert cli.main(["pin", "thesis"]) == 0
    new = path.read_text()
    lines = ["-   revision: main", f"+   revision: {COMMIT}", "-     revision: v1.0", f"+     revision: {TAGGED}"]
    assert changed(old, new) == lines
    assert f"data: knkarthick/dialogsum at main is {COMMIT}" in capsys.readouterr().out
    assert not pin.unpinned(config.read(path))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_comments_and_layout_stay(path: Path) -> None:
    text = path.read_text()
    assert editing.edited(text, {}) == text


def test_a_missing_revision_is_put_after_the_name() -> None:
    text = "data:\n  repo: org/talk  # the talk\n  train: {file: 'x.csv'}\ncheckpoints:\n  base: {repo: org/tiny}\n"
    assert editing.edited(text, {"data.revision": COMMIT, "checkpoints.base.revision": COMMIT}, after="repo") == (
        f"data:\n  repo: org/talk  # the talk\n  revision: {COMMIT}\n  train: {{file: 'x.csv'}}\n"
        f"checkpoints:\n  base: {{repo: org/tiny, revision: {COMMIT}}}\n"
    )


@pytest.mark.parametrize("commit", ["1" * 40, "1" * 20 + "e" + "1" * 19])
def test_a_commit_that_looks_like_a_number_stays_a_text(commit: str) -> None:
    written = editing.edited("data: {repo: org/talk, revision: main}\n", {"data.revision": commit})
    assert YAML(typ="safe", pure=True).load(written)["data"]["revision"] == commit


def test_the_active_study_is_the_default_and_is_pinned_with_its_file(project: Path) -> None:
    assert cli.main(["use", "thesis"]) == 0
    assert cli.main(["pin"]) == 0
    active, path = project / "params.yaml", project / "studies" / "thesis.yaml"
    assert active.read_text() == path.read_text() and COMMIT in path.read_text()
    edited = active.read_text().replace("seed: 0", "seed: 1", 1)
    active.write_text(edited)
    path.write_text(path.read_text().replace(COMMIT, "main"))
    assert cli.main(["pin", "thesis"]) == 0
    assert active.read_text() == edited


def test_what_the_study_leaves_to_defaults_stays_in_the_active_one(project: Path) -> None:
    path = project / "studies" / "thesis.yaml"
    path.write_text(path.read_text().replace("\nseed: 0\n", "\n", 1))
    assert cli.main(["use", "thesis"]) == 0 and "seed: 0" in (project / "params.yaml").read_text()
    assert cli.main(["pin"]) == 0
    made = (project / "params.yaml").read_text()
    assert COMMIT in made and "\nseed: 0\n" in made and "\nseed: 0\n" not in path.read_text()


def test_a_revision_of_strange_characters_is_shown_as_such(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = project / "studies" / "thesis.yaml"
    path.write_text(path.read_text().replace("revision: main", 'revision: "é\\u202e\\u200b"', 1))
    assert cli.main(["use", "thesis"]) == 0
    said = capsys.readouterr().out
    assert "not pinned yet: data" in said and not {"\u202e", "\u200b"} & set(said)


def test_a_pinned_study_needs_no_hub(project: Path, hub_gone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pin", "miniature"]) == 0
    assert "nothing to pin" in capsys.readouterr().out


def test_using_a_study_that_is_not_pinned_works_and_says_so(
    project: Path, hub_gone: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["use", "thesis"]) == 0
    said = capsys.readouterr().out
    assert "not pinned yet: data (knkarthick/dialogsum at 'main'), checkpoints.base" in said
    assert "run `bench pin thesis` first" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"away": True}, "cannot be reached (ConnectError); pin on a machine that reaches it"),
        ({"files": {"pytorch_model.bin": b"x", "config.json": b"{}"}}, "no .safetensors weights"),
        (
            {"tables": {"train.csv": b"id"}},
            "data.validation.file: revision main holds no 'validation.csv'; name one of: train.csv",
        ),
        ({"gone": "google/flan-t5-base"}, "there is no such model, or it is private"),
    ],
)
def test_one_name_that_fails_leaves_the_file(
    project: Path, hub_here: Any, request: Any, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    path = project / "studies" / "thesis.yaml"
    old = path.read_text()
    if "away" in change:
        request.getfixturevalue("hub_gone")
    if "files" in change:
        hub_here.add("model", "google/flan-t5-base", TAGGED, change["files"], "v1.0")
    if "tables" in change:
        hub_here.add("dataset", "knkarthick/dialogsum", COMMIT, change["tables"])
    if "gone" in change:
        del hub_here.commits["model", change["gone"]]
    assert cli.main(["pin", "thesis"]) == 1
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1 and path.read_text() == old
    assert "params.yaml" not in message and (message.startswith("error: studies/thesis.yaml: ") or "away" in change)
