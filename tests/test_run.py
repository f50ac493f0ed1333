"""run.py: what would fail after minutes of installation is said before it, with a fix that works."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path: Path) -> ModuleType:
    """The script in a folder of its own."""
    shutil.copy(ROOT / "run.py", tmp_path)
    spec = importlib.util.spec_from_file_location("run", tmp_path / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folder_without_git_is_said_and_the_fix_works(run: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("error: this folder is no git repository, which DVC needs") and not (run.HOME).exists()
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "start")):
        subprocess.run(["git", *words], cwd=run.ROOT, check=True)
    assert run.git_problem() is None


def test_a_folder_of_another_user_has_git_s_own_words(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q"], cwd=run.ROOT, check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    said = run.git_problem()
    assert said.startswith("git: fatal: detected dubious ownership") and said.endswith(f"safe.directory {run.ROOT}")


def test_line_ends_are_the_same_where_git_would_rewrite_them(tmp_path: Path) -> None:
    """DVC's digests are of bytes: with CRLF in them every stage would be stale and the gate refuse everything."""
    folder = tmp_path / "clone"
    clone = ["git", "clone", "-q", "-c", "core.autocrlf=true", str(ROOT), str(folder)]
    subprocess.run(clone, check=True)
    if not (folder / ".gitattributes").exists():
        pytest.skip("the last commit has no .gitattributes yet")
    for name in ("dvc.lock", "dvc.yaml", "params.yaml", "reports/miniature/scores.csv", "bench/stats.py"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes().replace(b"\r\n", b"\n"), name
