"""The study `thesis` as it is in the repository, from a hub on this machine that holds tiny stand-ins by its names."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench import cli, config
from bench.classifiers import loading
from bench.core import runtime, storage
from bench.lm import models

ROOT = Path(__file__).resolve().parents[1]
BASE, REWARD = "7bcac572ce56db69c1ea7c8af255c5d7c9672fc2", "391c99ab8b3f65beb77746a2cf6ddf1ddf9817e6"
TALK = "#Person1#: hello\n#Person2#: you are an idiot"


def table(*names: str) -> bytes:
    return ("id,dialogue,summary,topic\n" + "".join(f'{n},"{TALK} {n[:6]}",they meet,park\n' for n in names)).encode()


@pytest.fixture
def project(workdir: Path, hub_here: Any, tiny_base: Path, tiny_reward: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the studies alone; the models are on the hub."""
    monkeypatch.syspath_prepend(str(ROOT))  # for `stages`
    for folder, repo, commit in (
        (tiny_base, "google/flan-t5-base", BASE),
        (tiny_reward, "facebook/roberta-hate-speech-dynabench-r4-target", REWARD),
    ):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        hub_here.add("model", repo, commit, files | {"pytorch_model.bin": b"pickle"})
    tests = [f"test_{i}_{k}" for i in (0, 1) for k in (1, 2, 3)]
    files = {"train.csv": table("tr0", "tr1"), "validation.csv": table("dev_0"), "test.csv": table(*tests)}
    hub_here.add("dataset", "knkarthick/dialogsum", "c" * 40, files)
    shutil.rmtree(workdir / "models")
    shutil.copytree(ROOT / "studies", workdir / "studies")
    return workdir


def test_pinned_and_used_it_fetches_what_the_other_stages_load(project: Path) -> None:
    from stages import checkpoint, data

    assert cli.main(["pin", "thesis"]) == 0 and cli.main(["use", "thesis"]) == 0
    assert "2 train, 1 validation, 2 test" in data.main()
    assert len(storage.read_split("test")[0].references) == 3
    for name in config.read().checkpoints:
        checkpoint.main(name)
    assert models.load("base", "cpu").model.config.model_type == "t5"
    assert loading.load("reward", "cpu").labels == ("nothate", "hate")
    assert loading.load("judge", "cpu").labels == ("clean", "profane")
    assert not list(project.rglob("models/*/*.bin"))


def test_out_of_reach_each_stage_ends_with_one_sentence(
    project: Path, hub_gone: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from stages import checkpoint, data

    assert cli.main(["use", "thesis"]) == 0
    for stage, arguments, said in (
        (data, (), "'knkarthick/dialogsum' of the hub: revision: 'main' is no commit"),
        (checkpoint, ("base",), "'google/flan-t5-base' of the hub: the hub at http://127.0.0.1:9 cannot be reached"),
    ):
        with pytest.raises(SystemExit) as caught:
            runtime.stage(stage.main, *arguments)
        assert said in str(caught.value.code) and "\n" not in str(caught.value.code)
    assert not (project / "data").exists() and not any((project / "models").glob("*"))


def test_a_full_disk_ends_a_stage_with_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages import checkpoint

    assert cli.main(["pin", "thesis"]) == 0 and cli.main(["use", "thesis"]) == 0

    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(storage, "link_or_copy", full)
    with pytest.raises(SystemExit, match="the disk is full; free some space; `dvc repro` then goes on"):
        runtime.stage(checkpoint.main, "base")
    assert not list((project / "models").iterdir())
