"""`bench view`: where the page goes, and what keeps texts that may not be published out of git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import cli, config
from bench.core import parameters
from tests.viewer.conftest import study as study


@pytest.fixture
def private(study: parameters.Params, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """The study with `report.texts: false`, in a git repository that ignores view/."""
    kept = study.model_copy(update={"report": study.report.model_copy(update={"texts": False})})
    monkeypatch.setattr(config, "read", lambda: kept)
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("/view/\n")
    return kept


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence by which the command refuses; it wrote no page."""
    before = sorted(Path().rglob("*"))
    assert cli.main(["view", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and sorted(Path().rglob("*")) == before
    return said


def test_the_page_lies_in_an_ignored_folder_and_the_last_line_says_where(
    study: parameters.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "read", lambda: study)
    assert cli.main(["view"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("-> view/toy.html")
    assert "They greet 7 warmly" in Path("view/toy.html").read_text(encoding="utf-8")
    assert cli.main(["view", "--out", "page.html"]) == 0 and Path("page.html").exists()


def test_the_project_ignores_that_folder() -> None:
    root = Path(__file__).resolve().parents[2]
    assert "/view/" in (root / ".gitignore").read_text().splitlines()


def test_private_texts_go_where_git_ignores_them(
    private: parameters.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "--out", "page.html")
    assert (
        "page.html: " in said
        and "report.texts: false" in said
        and "leave --out away, which writes view/toy.html." in said
    )
    assert cli.main(["view"]) == 0 and Path("view/toy.html").exists()
    assert cli.main(["view", "--out", "view/deep/other.html"]) == 0 and Path("view/deep/other.html").exists()
    subprocess.run(["git", "add", "-A"], check=True)
    kept = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    assert "html" not in kept


def test_a_repository_that_keeps_the_folder_is_told_to_ignore_it(
    private: parameters.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".gitignore").unlink()
    assert "add the line /view/ to .gitignore." in refused(capsys)
    Path(".gitignore").write_text("/view/\n")
    assert cli.main(["view"]) == 0


def test_a_file_that_git_keeps_although_ignored_and_another_repository_are_refused(
    private: parameters.Params, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    Path("view").mkdir()
    Path("view/toy.html").write_text("committed by force")
    subprocess.run(["git", "add", "-f", "view/toy.html"], check=True)
    assert "git does not ignore that file" in refused(capsys)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert cli.main(["view", "--out", str(elsewhere / "page.html")]) == 0, "no repository, nobody's to commit"
    subprocess.run(["git", "init", "-q", str(elsewhere)], check=True)
    assert "git does not ignore that file" in refused(capsys, "--out", str(elsewhere / "new.html"))
    Path("link").symlink_to(elsewhere)
    assert "git does not ignore that file" in refused(capsys, "--out", "link/new.html")


def test_a_place_that_cannot_be_written_is_one_sentence(
    study: parameters.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "read", lambda: study)
    assert "scores cannot be written (Is a directory); name another path." in refused(capsys, "--out", "scores")
    assert "--out: names no file" in refused(capsys, "--out", "")


def test_a_missing_params_file_is_one_sentence(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "params.yaml does not exist; `bench use miniature`" in refused(capsys)
