"""`bench doctor` tells what is missing and the fix, needs no network, and fails only when a named study cannot run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.commands import doctor
from bench.commands.doctor import GPU

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = GPU("Tesla T4", 16 * 2**30, False), GPU("H200", 140 * 2**30, True)


@pytest.fixture
def project(workdir: Path, hub_here: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "studies", workdir / "studies")
    shutil.copy(ROOT / "requirements.lock", workdir)
    monkeypatch.setattr(doctor, "gpus", lambda: [])
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return workdir


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert cli.main(["doctor", "--json", *words]) == code
    return json.loads(capsys.readouterr().out)


def test_machine_and_every_study_are_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys)
    assert set(found["machine"]) == {"Python", "packages", "git", "cores", "memory", "disk", "GPU", "hub", "token"}
    assert set(found["studies"]) == {path.stem for path in (ROOT / "studies").glob("*.yaml")}
    assert found["studies"]["miniature"] == {"ready": True, "lacks": []}
    assert cli.main(["doctor"]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in (*found["machine"], *found["studies"])) and "hf_secret" not in table


def test_a_study_of_the_hub_lacks_its_commit_and_a_gpu(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacks = asked(capsys, "--study", "thesis", code=1)["studies"]["thesis"]["lacks"]
    assert len(lacks) == 2 and "torch sees no GPU" in lacks[0] and "`bench pin`" in lacks[1]
    path = project / "studies" / "thesis.yaml"
    path.write_text(path.read_text().replace("revision: main", f"revision: {'c' * 40}").replace("cuda", "auto"))
    assert asked(capsys, "--study", "thesis")["studies"]["thesis"]["ready"]


def test_out_of_reach_is_no_failure(project: Path, hub_gone: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys)
    assert "cannot be reached (ConnectError)" in found["machine"]["hub"]["found"]
    assert found["studies"]["miniature"]["ready"] and not found["studies"]["thesis"]["ready"]
    assert sum("the cache" in lack for lack in found["studies"]["thesis"]["lacks"]) == 2


def test_local_files_that_are_not_there_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacks = asked(capsys, "--study", "dialogsum-small", code=1)["studies"]["dialogsum-small"]["lacks"]
    assert lacks[0].startswith("data.train.file: local/dialogsum/dialogsum.train.jsonl does not exist")
    assert "'local/flan-t5-small-titler' is not a folder" in lacks[1] and len(lacks) == 5
    assert lacks[3].startswith("evaluate_on.samsum.test.file: local/samsum/samsum.val.jsonl does not exist")
    assert lacks[4].startswith(
        "variants.bart.learns_from: local/dialogsum/bart_baseline_test_output.txt does not exist"
    )


def test_a_broken_study_is_one_of_the_things_told(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "studies" / "broken.yaml").write_text("variants: [")
    assert "not valid YAML" in asked(capsys)["studies"]["broken"]["lacks"][0]
    assert cli.main(["doctor", "--study", "none-such"]) == 1
    assert "studies/none-such.yaml does not exist" in capsys.readouterr().err


def test_the_driver_and_cuda_stand_beside_the_gpu(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "gpus", lambda: [NEW])
    monkeypatch.setattr("torch.version.cuda", "13.0")
    written, real = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 UTC 2025\n", Path.read_text
    monkeypatch.setattr(Path, "exists", lambda path, **_: str(path).startswith("/proc/driver") or path.is_file())
    monkeypatch.setattr(
        Path, "read_text", lambda path, *a, **o: written if "nvidia" in str(path) else real(path, *a, **o)
    )
    assert asked(capsys)["machine"]["GPU"]["found"] == "H200, 140.0 GiB, bfloat16; driver 580.65.06, CUDA 13.0"


def test_packages_are_held_against_the_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "requirements.lock").write_text(
        "# made by hand\npytest==0.1\nno-such-package==1.0\nnumpy>=1\nwhatever==1 ; python_version < '3'\n"
    )
    fact = asked(capsys)["machine"]["packages"]
    assert fact["found"].startswith("2 of 3 are not as locked: pytest ") and "(locked 0.1)" in fact["found"]
    assert "no-such-package missing" in fact["found"] and "python3 run.py" in fact["fix"]


@pytest.mark.parametrize(
    ("cards", "lacks"), [([NEW], ""), ([OLD], "Tesla T4 does not compute in bfloat16"), ([], "torch sees no GPU")]
)
def test_the_gpu_a_study_asks_for(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cards: list[GPU], lacks: str
) -> None:
    path = project / "studies" / "miniature.yaml"
    path.write_text(path.read_text().replace("device: cpu", "device: cuda").replace("float32", "bfloat16"))
    monkeypatch.setattr(doctor, "gpus", lambda: cards)
    found = asked(capsys, "--study", "miniature", code=int(bool(lacks)))
    assert [lacks in lack for lack in found["studies"]["miniature"]["lacks"]] == ([True] if lacks else [])
    assert not cards or cards[0].name in found["machine"]["GPU"]["found"]
