"""Packing, unpacking and running a study where there is neither a network nor DVC; a mistake is one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench import config

ROOT = Path(__file__).resolve().parents[1]
STUDY = """\
study: small
data:
  dataset: dialogsum
  path: local/dialogsum
  train: {file: train.jsonl}
  validation: {file: dev.jsonl}
  test: {file: test.jsonl}
evaluate_on:
  other: {dataset: dialogsum, path: local/dialogsum, test: {file: there.jsonl}}
checkpoints:
  base: {source: local, path: local/base, name: base}
  reward: {source: profanity_check, version: 1.9.1}
  judge: {source: profanity_check, version: 1.9.1}
variants:
  second: {method: none, init: first, learns_from: models/first}
  first: {method: none, init: base, learns_from: models/base}
  given: {method: outputs, init: base, learns_from: local/given.txt}
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
    (workdir / "local" / "given.txt").write_text("They greet.\n")
    for name in ("train", "dev", "test", "there"):
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
        assert any(re.fullmatch(r"costs/data/[0-9a-f]{8}\.json", name) for name in tar.getnames())
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
    assert "leads out of" in capsys.readouterr().err
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
    assert order[0] == "params" and order[-1] == "report" and len(order) == 18


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


def test_the_plan_names_every_call_in_its_order(
    tool: ModuleType, here: Path, packed: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert tool.main(["plan", "parts"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    calls = [line for line in lines if line.startswith("python3 ")]
    words = [call.removeprefix("python3 tools/offline_run.py ").split()[0] for call in calls]
    assert words == ["unpack"] * len(packed) + ["race", "race", "stability", "run"]
    assert calls[len(packed) - 1].endswith(
        '&& python3 tools/offline_run.py run small --store /tmp/study --out "$OUT" --budget 540'
    )
    assert [line.count("carry parts/part-") for line in lines if line[0].isdigit()] == [1] * len(packed) + [0] * 4
    raced = [call.partition("--races ")[2].split()[0] for call in calls if " race " in call]
    assert sorted(",".join(raced).split(",")) == ["classifier", "generation", "ppo", "training"]
    assert tool.main(["plan", "nowhere"]) == 1
    assert capsys.readouterr().err == "error: nowhere holds no parts; make them with `pack`.\n"


RIVAL = """\
import os, subprocess, sys, time
print(sys.argv[1:], os.environ["PIP_NO_INDEX"], os.environ["PIP_FIND_LINKS"], os.environ["XDG_CACHE_HOME"], flush=True)
if "slow" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open("child", "w").write(str(child.pid))
    time.sleep(60)
sys.exit("broken" if "broken" in sys.argv else 0)
"""


def alive(status: Path) -> bool:
    """Whether a process runs, by its file in /proc; one that nobody has waited for yet does not."""
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_race_gets_the_rivals_options_and_the_carried_wheels(
    tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rival = here / "benchmarks" / "rival"
    rival.mkdir(parents=True)
    for package in (rival.parent, rival):  # else the project's own would be found first where it is installed
        (package / "__init__.py").touch()
    (rival / "__main__.py").write_text(RIVAL)
    race = ["race", "--store", "store", "--out", "out"]
    assert tool.main([*race, "--", "--races", "ppo"]) == 0
    said = (here / "out" / "log.txt").read_text()
    assert str(["--out", str(here / "out"), "--races", "ppo"]) in said
    assert f"1 {here}/store/trl {here}/store/cache" in said
    assert tool.main([*race, "--", "broken"]) == 1
    assert "error: the race failed with exit status 1; see" in capsys.readouterr().err
    assert tool.main([*race, "--budget", "2", "--", "slow"]) == 1
    assert "the race outran the budget and was ended" in capsys.readouterr().err
    status = (
        Path("/proc") / (here / "child").read_text() / "status"
    )  # ended with the one that started it, if not at once
    deadline = time.monotonic() + 10
    while alive(status) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(status)


def test_stability_is_the_largest_difference_and_the_share_of_other_summaries(
    tool: ModuleType, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measures = tool.offline_measures
    for name, loss, weight, last in (("one", 2.5, 1.0, 7), ("other", 2.25, 1.5, 8)):
        folder = workdir / name
        for part in ("curves", "predictions", "models/short"):
            (folder / part).mkdir(parents=True)
        (folder / "curves" / "short.csv").write_text(f"step,loss\n1,3.0\n2,{loss}\n")
        save_file({"w": np.array([0.0, weight], np.float32)}, folder / "models" / "short" / "model.safetensors")
        rows = [
            {"output": kind, "token_ids": ids}
            for kind, ids in (("greedy", [5, 1]), ("greedy", [last]), ("sample", [3]))
        ]
        (folder / "predictions" / "short.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = measures.difference(workdir / "one", workdir / "other")
    assert found == {
        "largest_loss_difference": 0.25,
        "largest_weight_difference": 0.5,
        "greedy_summaries": 2,
        "greedy_different": 0.5,
        "sample_summaries": 1,
        "sample_different": 0.0,
    }
    assert "| float32 | 2.50e-01 | 5.00e-01 | 50.0% of 2 | 0.0% of 1 |" in measures.page({"float32": found}, 20)
    assert tool.main(["stability", "miniature", "--store", "s", "--out", "o"]) == 1
    assert "studies/miniature.yaml or dvc.yaml does not exist here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dialogsum-small", "miniature"])
def test_the_short_study_is_one_that_the_project_takes(tool: ModuleType, name: str) -> None:
    raw = tool.offline_stages.parsed((ROOT / "studies" / f"{name}.yaml").read_text())
    params = config.parse(tool.offline_measures.short(raw, "bfloat16", 20), "short")
    assert list(params.variants) == ["short"] and params.compute.precision == "bfloat16"


def test_it_starts_from_the_command_line() -> None:
    done = subprocess.run([sys.executable, "tools/offline_run.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "plan local/parts" in done.stdout
