"""Cut files of DVC are removed, whole ones stay; wherever the cut falls, DVC reads what is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dvc.exceptions import DvcException
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.strictyaml import load

from bench import cli
from bench.commands import mend

LOCK = (Path(__file__).resolve().parents[2] / "dvc.lock").read_bytes()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


def test_whole_files_and_absent_ones_stay_as_they_are(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["mend"]) == 0
    mend.LOCK.write_bytes(LOCK)
    mend.RUNNING.write_text("{}")
    assert cli.main(["mend"]) == 0
    assert capsys.readouterr().out == ""
    assert (mend.LOCK.read_bytes(), mend.RUNNING.read_text()) == (LOCK, "{}")


@pytest.mark.parametrize("size", [0, 1, 9, 30, 200, 500, 1000, 1500])
def test_a_cut_dvc_lock_is_removed_or_one_that_dvc_reads(here: Path, size: int) -> None:
    mend.LOCK.write_bytes(LOCK[:size])
    cli.main(["mend"])
    try:
        load(str(mend.LOCK), COMPILED_LOCKFILE_SCHEMA, None)
    except FileNotFoundError:
        return
    except DvcException as error:
        pytest.fail(f"dvc refuses what was left: {error}")


def test_what_is_removed_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mend.LOCK.write_bytes(b"")
    mend.RUNNING.write_text(json.dumps({"a": {"read": []}})[:-4])
    assert cli.main(["mend"]) == 0
    assert [line.split(" was truncated")[0] for line in capsys.readouterr().out.splitlines()] == [
        ".dvc/tmp/rwlock",
        "dvc.lock",
    ]
    assert not mend.LOCK.exists() and not mend.RUNNING.exists()
