"""A full disk and a read-only folder: one sentence, a non-zero exit, and nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core import runtime, storage
from bench.core.resume import Work
from bench.core.schema import Prediction
from bench.lm import models

ROWS = [Prediction(id=f"r{i}", dialogue_id="d", output="greedy", draw=0, text="x" * 500) for i in range(100)]


@pytest.fixture
def full_disk(workdir: Path) -> Iterator[None]:
    """No file may grow past 8 KiB: writes beyond it fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def refused(action: Any) -> str:
    with pytest.raises(SystemExit) as stop:
        runtime.stage(lambda: action() or "")
    message = str(stop.value)
    assert message.startswith("error: ") and "\n" not in message and message.count("goes on from") == 1
    return message


def test_rows(workdir: Path, full_disk: None) -> None:
    path = Path("predictions/full.jsonl")
    storage.write_rows(path, ROWS[:2])
    before = path.read_bytes()
    fill()
    assert "larger than this system allows" in refused(lambda: storage.write_rows(path, ROWS))
    assert path.read_bytes() == before and files(workdir) == {"predictions/full.jsonl"}


def test_kept_rows(workdir: Path, full_disk: None) -> None:
    work = Work("generate", "full", "same")
    work.append("greedy.jsonl", ROWS[:4])
    fill()
    assert "larger than this system allows" in refused(lambda: work.append("greedy.jsonl", ROWS[4:]))
    assert (
        Work("generate", "full", "same").rows("greedy.jsonl", Prediction)
        == ROWS[: len(work.rows("greedy.jsonl", Prediction))]
    )


def test_kept_state(workdir: Path, full_disk: None) -> None:
    work = Work("train", "ppo", "same")
    work.save_state({"weights": torch.ones(3)})
    fill()
    assert "the disk is full" in refused(lambda: work.save_state({"weights": torch.ones(30_000)}))
    kept = Work("train", "ppo", "same").load_state()
    assert kept is not None and kept["weights"].tolist() == [1, 1, 1]


def test_weights(tiny_base: Path, workdir: Path, full_disk: None) -> None:
    loaded, before = models.load("base", "cpu"), files(workdir)
    fill()
    refused(lambda: models.save(loaded, "full", "sft", {}))
    assert files(workdir) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(workdir: Path) -> None:
    Path("scores").mkdir(mode=0o555)
    assert "scores" in refused(lambda: storage.write_rows(Path("scores/full.jsonl"), ROWS))


@pytest.fixture
def small_disk(workdir: Path) -> Iterator[Path]:
    """A file system of 64 KiB of its own, where this user may make one."""
    disk = workdir / "disk"
    disk.mkdir()
    if os.name == "nt" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).returncode:
        pytest.skip("mounting needs root on Linux")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    path = small_disk / "full.jsonl"
    storage.write_rows(path, ROWS[:2])
    before = path.read_bytes()
    assert "the disk is full; free some space" in refused(lambda: storage.write_rows(path, ROWS * 10))
    assert path.read_bytes() == before and files(small_disk) == {"full.jsonl"}


def test_a_disk_that_is_really_read_only(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "read-only" in refused(lambda: storage.write_rows(small_disk / "full.jsonl", ROWS))


def test_other_errors_keep_their_traceback(workdir: Path) -> None:
    def bug() -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="of ours"):
        runtime.stage(lambda: bug() or "")
