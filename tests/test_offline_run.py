"""Packing, unpacking and running a study where there is neither a network nor DVC; a mistake is one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
STUDY = """\
study: small
data:
  dataset: dialogsum
  path: local/dialogsum
  train: {file: train.jsonl}
  validation: {file: dev.jsonl}
  test: {file: test.jsonl}
checkpoints:
  base: {source: local, path: local/base, name: base}
  reward: {source: profanity_check, version: 1.9.1}
  judge: {source: profanity_check, version: 1.9.1}
variants:
  second: {method: none, init: first, learns_from: models/first}
  first: {method: none, init: base, learns_from: models/base}
metrics:
  text: {}
report: {primary: words}
"""


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import offline_run

    return offline_run


@pytest.fixture
def here(workdir: Path) -> Path:
    """A working folder with the graph, a study of real files and a base of noise."""
    (workdir / "studies").mkdir()
    (workdir / "studies" / "small.yaml").write_text(STUDY)
    (workdir / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    data, base = workdir / "elsewhere", workdir / "local" / "base"
    for folder in (data, base):
        folder.mkdir(parents=True)
    (workdir / "local" / "dialogsum").symlink_to(data)
    for name in ("train", "dev", "test"):
        keys = ("summary1", "summary2", "summary3") if name == "test" else ("summary",)
        row = {"fname": f"{name}_0", "dialogue": f"#Person1#: Hi, {name}.", **dict.fromkeys(keys, "They greet.")}
        (data / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    (base / "model.safetensors").write_bytes(os.urandom(3000))
    return workdir


@pytest.fixture
def packed(tool: ModuleType, here: Path) -> list[Path]:
    """The parts, a KiB each, of which there are several; the files they hold are gone from here."""
    assert tool.main(["pack", "small", "parts", "--no-wheels", "--part-mib", str(1 / 1024)]) == 0
    (here / "local").rename(here / "gone")
    return sorted((here / "parts").iterdir())


def test_what_was_packed_is_unpacked_in_parts_and_the_data_stage_runs(
    tool: ModuleType,
    here: Path,
    packed: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(packed) >= 3
    assert all((part / "data").stat().st_size <= 1024 for part in packed)
    for part in [packed[0], *packed]:  # a part sent twice does no harm
        assert tool.main(["unpack", str(part), str(here / "store")]) == 0
    for name in ("base/model.safetensors", "dialogsum/train.jsonl", "dialogsum/test.jsonl"):
        assert (here / "local" / name).read_bytes() == (here / "gone" / name).read_bytes()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(tool.offline_stages, "check_modules", lambda text: None)
    (here / "studies" / "small.yaml").write_text(
        STUDY.replace("variants:", "generation: {max_new_tokens: 0}\nvariants:")
    )
    run = ["run", "small", "--store", "store", "--out", "out"]
    assert tool.main(run) == 1
    assert capsys.readouterr().err == "error: params failed with exit status 1; see log.txt.\n"
    assert "generation.max_new_tokens" in (here / "out" / "log.txt").read_text()
    (here / "studies" / "small.yaml").write_text(STUDY)
    assert tool.main(run) == 1  # noise is no checkpoint
    assert capsys.readouterr().err == "error: checkpoint@base failed with exit status 1; see log.txt.\n"
    assert (here / "data" / "train.jsonl").read_text().count("\n") == 1
    assert tool.main(run) == 1
    table = [line.split(",") for line in (here / "out" / "timings.csv").read_text().splitlines()]
    assert [row[:2] for row in table[1:]] == [["params", "kept"], ["data", "kept"], ["checkpoint@base", "failed"]]
    with tarfile.open(here / "out" / "work.tar.xz") as tar:
        assert "costs/data/data.json" in tar.getnames()
    assert len(list((here / "out").iterdir())) <= 8


def test_a_broken_a_missing_and_an_early_part_are_one_sentence_each(
    tool: ModuleType, here: Path, packed: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def error(part: Path) -> str:
        assert tool.main(["unpack", str(part), "store"]) == 1
        return capsys.readouterr().err

    assert "came before the one it follows; unpack the parts in order" in error(packed[1])
    data = bytearray((packed[0] / "data").read_bytes())
    data[100] ^= 1
    (packed[0] / "data").write_bytes(data)
    assert "part-00/data does not have the digest of its manifest; carry it again." in error(packed[0])
    (packed[0] / "manifest.json").write_text("{")
    assert "part-00 is no whole part (JSONDecodeError)" in error(packed[0])
    assert "nowhere is no whole part (FileNotFoundError)" in error(Path("nowhere"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "../../../../../tmp/away"},
        {"sha256": 5},
        {"part": -1},
        {"part": True},
        {"part": "0"},
        {"part": 99},
        {"parts": 5},
        {"parts": [{"offset": -1, "size": 1, "sha256": ""}]},
        {"parts": [{"offset": "0", "size": 1, "sha256": ""}]},
    ],
)
def test_a_manifest_that_lies_about_its_names_and_numbers_is_refused(
    tool: ModuleType, here: Path, packed: list[Path], capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    path = packed[0] / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert tool.main(["unpack", str(packed[0]), "store"]) == 1
    assert "part-00 is no whole part" in capsys.readouterr().err
    assert not (here / "store").exists()


@pytest.mark.parametrize("name", ["local/../bench/x.py", "../x", "/x", "bench/x.py", "local/link", ".", ""])
def test_nothing_is_written_outside_local(
    tool: ModuleType, here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = here / "part-00"
    part.mkdir()
    with tarfile.open(part / "data", "w:xz") as tar:
        member = tarfile.TarInfo(name)
        if name.endswith("link"):
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        else:
            member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    data = (part / "data").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    facts = {"offset": 0, "size": len(data), "sha256": digest}
    (part / "manifest.json").write_text(json.dumps({"study": "s", "sha256": digest, "parts": [facts], "part": 0}))
    assert tool.main(["unpack", "part-00", "store"]) == 1
    assert "would lie outside local/; it is refused." in capsys.readouterr().err
    assert not (here / "bench").exists() and not (here / "local" / "link").exists()


def test_a_file_that_leads_out_of_local_by_a_link_is_not_followed(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main(["pack", "small", "parts", "--no-wheels"]) == 0
    away = here.parent / "away"
    away.mkdir(exist_ok=True)
    (here / "local" / "dialogsum").unlink()
    (here / "local" / "dialogsum").symlink_to(away)
    assert tool.main(["unpack", "parts/part-00", "store"]) == 1
    assert "cannot be unpacked" in capsys.readouterr().err
    assert not list(away.iterdir())


def test_what_cannot_travel_is_one_sentence(tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(text: str, name: str = "small") -> str:
        (here / "studies" / "small.yaml").write_text(text)
        assert tool.main(["pack", name, "parts", "--no-wheels"]) == 1
        return capsys.readouterr().err

    assert "studies/none.yaml" in error(STUDY, "none")
    assert "'../none' is no study's name" in error(STUDY, "../none")
    assert "study: must be the file's name, 'small'" in error(STUDY.replace("study: small", "study: ../.."))
    assert "not valid YAML" in error("study: [")
    assert "must be a mapping of blocks" in error("- 1")
    assert "variants: must be a mapping of named blocks" in error(STUDY.replace("variants:", "variants: 5\nother:"))
    assert "studies/small.yaml: report.primary: no metric" in error(STUDY.replace("words", "wrds"))
    hub = STUDY.replace("{source: local, path: local/base, name: base}", "{source: hub, repo: a/b}")
    assert "checkpoints.base: a model of source 'hub' cannot travel" in error(hub)
    gguf = hub.replace("{source: hub, repo: a/b}", "{source: gguf, path: local/base.gguf, name: base}")
    assert "checkpoints.base: a model of source 'gguf' cannot travel" in error(gguf)
    table = STUDY.replace("path: local/dialogsum", "repo: a/b")
    assert "data: a dataset of the hub cannot travel" in error(table)
    assert "local/absent is no file below local/" in error(STUDY.replace("local/base", "local/absent"))
    assert "elsewhere/train.jsonl is no file below local/" in error(STUDY.replace("local/dialogsum", "elsewhere"))


def test_missing_packages_are_named_before_anything_runs(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool.offline_stages, "MODULES", ["json", "no_such_parent.child"])
    monkeypatch.setattr(tool.offline_stages, "MODULES_IF", {"text:": ["no_such_module"], "absent:": ["nor_this"]})
    assert tool.main(["run", "small", "--store", "store", "--out", "out"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: this Python lacks no_such_parent.child, no_such_module; add the wheels")
    assert not (here / "params.yaml").exists() and not (here / "out").exists()


def test_stages_come_in_the_order_of_the_graph(tool: ModuleType) -> None:
    text = (ROOT / "dvc.yaml").read_text()
    order = [stage.name for stage in tool.offline_stages.graph(tool.offline_stages.parsed(STUDY), text)]
    assert order.index("checkpoint@base") < order.index("train@first") < order.index("train@second")
    assert order.index("train@second") < order.index("generate@second") < order.index("score@second")
    assert order[0] == "params" and order[-1] == "report" and len(order) == 14


def test_the_budget_ends_a_run_that_can_go_on(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "one.py").write_text("open('a', 'w').close()")
    (here / "two.py").write_text("import time; time.sleep(60)")
    graph = "stages:\n  two: {cmd: python two.py, deps: [a], outs: [b]}\n  one: {cmd: python one.py, outs: [a]}\n"
    (here / "dvc.yaml").write_text(graph)
    monkeypatch.setattr(tool.offline_stages, "check_modules", lambda text: None)
    run = ["run", "small", "--store", "store", "--out", "out", "--budget"]
    assert tool.main([*run, "0.5"]) == 1
    assert "stopped before one" in capsys.readouterr().err
    assert tool.main([*run, "2.5"]) == 1
    assert "two outran the budget and was ended" in capsys.readouterr().err
    assert "one,ran" in (here / "out" / "timings.csv").read_text()
    assert tool.main([*run, "1.5"]) == 1
    assert "one,kept" in (here / "out" / "timings.csv").read_text()


def test_it_starts_from_the_command_line() -> None:
    done = subprocess.run([sys.executable, "tools/offline_run.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "unpack local/parts/part-00" in done.stdout
