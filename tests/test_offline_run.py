"""Packing, unpacking and running a study where there is neither a network nor DVC; a mistake is one sentence."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

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
    rival = workdir / "benchmarks" / "rival"
    rival.mkdir(parents=True)
    for package in (rival.parent, rival):  # else the project's own would be found first where it is installed
        (package / "__init__.py").touch()
    (rival / "__main__.py").write_text(RIVAL)
    subprocess.run("git init -q && git add studies dvc.yaml benchmarks", shell=True, check=True)
    return workdir


@pytest.fixture
def packed(tool: ModuleType, here: Path) -> Path:
    """The folder of a parcel without packages; the files it holds are gone from here."""
    assert tool.main(["pack", "small", "parcel", "--no-wheels"]) == 0
    (here / "local").rename(here / "gone")
    return here / "parcel"


@pytest.fixture
def call(tool: ModuleType, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """The call, from the folder that was carried to, with a race that says what it was given."""
    monkeypatch.setattr(tool.offline_graph, "check_modules", lambda text, site: None)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    search = list(sys.path)

    def called(race: str = "--races ppo", budget: str = "120") -> int:
        given = ["call", "small", "parcel", "--out", "out", "--budget", budget, "--steps", "1", f"--race={race}"]
        try:
            return int(tool.main(given))
        finally:
            os.chdir(here)

    yield called
    sys.path[:] = search


def timings(here: Path) -> dict[str, str]:
    table = [line.split(",") for line in (here / "out" / "timings.csv").read_text().splitlines()]
    return {row[0]: row[1] for row in table[1:]}


def test_one_call_unpacks_races_and_runs_the_graph_as_far_as_it_goes(
    here: Path, packed: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call() == 1  # noise is no checkpoint: what waits for it is not started, all else is done
    states = timings(here)
    assert states.pop("race") == "ran"
    assert {name for name, state in states.items() if state == "ran"} == {
        *("params", "data", "checkpoint@reward", "checkpoint@judge"),
    }
    assert [name for name, state in states.items() if state == "failed"] == ["checkpoint@base"]
    said = capsys.readouterr().err
    assert said.startswith("error: not done: checkpoint@base, check, train@second") and "log.txt says why" in said
    offline = here / "local" / "offline"
    for name in ("dialogsum/train.jsonl", "dialogsum/test.jsonl", "given.txt", "base/model.safetensors"):
        assert (offline / "local" / name).read_bytes() == (here / "gone" / name).read_bytes()
    assert "study: small-gpu" in (offline / "params.yaml").read_text() and not (here / "params.yaml").exists()
    assert (offline / "data" / "train.jsonl").read_text().count("\n") == 1
    log = (here / "out" / "log.txt").read_text()
    assert str(["--out", str(here / "out"), "--races", "ppo"]) in log and f"{offline}/cache 1" in log
    with tarfile.open(here / "out" / "work.tar.xz") as tar:
        assert any(re.fullmatch(r"costs/data/[0-9a-f]{8}\.json", name) for name in tar.getnames())
    assert len(list((here / "out").iterdir())) <= 8
    assert call() == 1  # and goes on with the rest
    states = timings(here)
    assert states["params"] == states["data"] == states["checkpoint@judge"] == "kept"
    assert states["checkpoint@base"] == "failed"


def test_at_the_deadline_what_runs_is_ended_with_all_it_started(
    here: Path, packed: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("slow", budget="60") == 1
    states = timings(here)
    assert states["race"] == "out of time" and set(states.values()) - {"out of time"} == {"not started"}
    assert "not done: race, params" in capsys.readouterr().err
    status = Path("/proc", (here / "local" / "offline" / "child").read_text(), "status")
    deadline = time.monotonic() + 10  # ended with the one that started it, if not at once
    while alive(status) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(status)


def test_jobs_run_side_by_side_and_each_after_what_it_waits_for(tool: ModuleType, workdir: Path) -> None:
    graph = tool.offline_graph
    write = "import sys, time; open(sys.argv[1], 'a').write(str(time.time()) + ' '); time.sleep(0.5); "
    write += "open(sys.argv[1], 'a').write(str(time.time())); sys.exit(sys.argv[1] == 'c')"
    wanted = {"a": (), "b": (), "c": (), "d": ("a", "b"), "e": ("c",), "f": ("e",)}
    jobs = [graph.Job(name, (sys.executable, "-c", write, name), after) for name, after in wanted.items()]
    graph.run(jobs, workdir / "stamps", workdir / "logs", time.monotonic() + 60, at_once=3)
    assert {job.name: job.state for job in jobs} == {
        **dict.fromkeys("abd", "ran"),
        "c": "failed",
        **dict.fromkeys("ef", "not started"),
    }
    began, ended = {}, {}
    for name in "abcd":
        began[name], ended[name] = map(float, (workdir / name).read_text().split())
    assert max(began[name] for name in "abc") < min(ended[name] for name in "abc")  # all three at once
    assert began["d"] > max(ended["a"], ended["b"])


def test_what_is_scored_by_then_is_reported(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tool.offline_graph.parsed(STUDY)
    jobs = tool.offline_graph.stages(study, (ROOT / "dvc.yaml").read_text())
    for job in jobs:
        job.state = "ran" if job.name in ("yardsticks", "score@first", "score@given") else "out of time"
    shown, ran = list[dict[str, Any]](), list[str]()
    monkeypatch.setattr(tool, "activate", shown.append)
    monkeypatch.setattr(tool.offline_graph, "run", lambda jobs, *_, **__: ran.extend(job.name for job in jobs))
    assert tool.report_of_what_is_there(study, jobs, 0.0) == ["second"]
    assert list(shown[0]["variants"]) == ["first", "given"] and shown[0]["evaluate_on"] == {}
    assert shown[1] == study and ran == ["params", "report"]
    # A variant whose start is not scored has nothing to be compared with.
    next(job for job in jobs if job.name == "score@first").state = "failed"
    next(job for job in jobs if job.name == "score@second").state = "ran"
    assert tool.report_of_what_is_there(study, jobs, 0.0) == ["second", "first"]


def test_weights_of_few_values_travel_as_codes_and_come_back_to_the_byte(tool: ModuleType, workdir: Path) -> None:
    import offline_parcel

    random = np.random.default_rng(0)
    table = random.standard_normal(256).astype(np.float32)
    table[:3] = 0.0, -0.0, np.nan  # equal or unequal to themselves: bits decide
    tensors = {
        "coded": table[random.integers(0, 256, (300, 70))],
        "as it is": random.standard_normal((40, 30)).astype(np.float32),
        "half": random.integers(0, 9, (7, 5)).astype(np.float16),
        "one": np.float32([3.0]),
        "none": np.zeros((0, 4), np.float32),
    }
    path = workdir / "model.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    coded = offline_parcel.coded_weights(path)
    assert coded is not None and offline_parcel.decoded_weights(coded) == path.read_bytes()
    assert len(coded) < 0.45 * path.stat().st_size
    save_file({"w": tensors["as it is"]}, path)
    assert offline_parcel.coded_weights(path) is None


@pytest.mark.parametrize("name", ["../x", "/x", "local/../../x", "local/link", ".", ""])
def test_nothing_is_written_outside_the_folder(
    tool: ModuleType, here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "parcel").mkdir()
    with tarfile.open(here / "parcel" / "parcel.tar.xz", "w:xz") as tar:
        member = tarfile.TarInfo(name)
        if name.endswith("link"):
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        else:
            member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    assert tool.main(["call", "small", "parcel", "--out", "out"]) == 1
    assert "would lie outside local/offline; it is refused." in capsys.readouterr().err
    assert not (here.parent / "x").exists() and not (here / "local" / "offline" / "local" / "link").exists()


def test_a_file_that_leads_out_by_a_link_is_not_followed(
    tool: ModuleType, here: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = here.parent / "away"
    away.mkdir(exist_ok=True)
    (here / "local" / "offline" / "local").mkdir(parents=True)
    (here / "local" / "offline" / "local" / "dialogsum").symlink_to(away)
    assert tool.main(["call", "small", "parcel", "--out", "out"]) == 1
    assert "leads out of local/offline by a link" in capsys.readouterr().err
    assert not list(away.iterdir())


def test_a_broken_or_a_missing_parcel_is_one_sentence(
    tool: ModuleType, here: Path, packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(folder: str) -> str:
        assert tool.main(["call", "small", folder, "--out", "out"]) == 1
        return capsys.readouterr().err

    whole = (packed / "parcel.tar.xz").read_bytes()
    for broken in (b"", whole[:50], whole[:-300], whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]):
        (packed / "parcel.tar.xz").write_bytes(broken)
        assert "parcel/parcel.tar.xz cannot be unpacked" in error("parcel")
    assert error("nowhere") == "error: nowhere/parcel.tar.xz does not exist; make it with `pack`.\n"


def test_what_cannot_travel_is_one_sentence(tool: ModuleType, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(text: str, name: str = "small") -> str:
        (here / "studies" / "small.yaml").write_text(text)
        assert tool.main(["pack", name, "parcel", "--no-wheels"]) == 1
        return capsys.readouterr().err

    assert "studies/none.yaml" in error(STUDY, "none")
    assert "'../none' is no study's name" in error(STUDY, "../none")
    assert "not valid YAML" in error("study: [")
    assert "must be a mapping of blocks" in error("- 1")
    assert "variants: must be a mapping of named blocks" in error(STUDY.replace("variants:", "variants: 5\nother:"))
    assert "studies/small.yaml: report.primary: no metric" in error(STUDY.replace("words", "wrds"))
    hub = STUDY.replace("{source: local, path: local/base, name: base}", "{source: hub, repo: a/b}")
    assert "checkpoints.base: what lies on the hub cannot travel" in error(hub)
    table = STUDY.replace("path: local/dialogsum", "repo: a/b")
    assert "data: what lies on the hub cannot travel" in error(table)
    assert "local/absent is no file below local/" in error(STUDY.replace("local/base", "local/absent"))
    assert "elsewhere/train.jsonl is no file below local/" in error(STUDY.replace("local/dialogsum", "elsewhere"))


def test_missing_packages_are_named_before_anything_runs(
    tool: ModuleType, here: Path, packed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool.offline_graph, "MODULES", ["json", "no_such_parent.child"])
    monkeypatch.setattr(tool.offline_graph, "MODULES_IF", {"text:": ["no_such_module"], "absent:": ["nor_this"]})
    carried = here / "local" / "offline" / "site" / "carried-1.dist-info"
    carried.mkdir(parents=True)
    needs = "Requires-Dist: numpy>=1\nRequires-Dist: no-such-package\nRequires-Dist: nor-this; extra == 'more'\n"
    (carried / "METADATA").write_text(f"Metadata-Version: 2.1\nName: carried\nVersion: 1\n{needs}")
    search = list(sys.path)
    try:
        assert tool.main(["call", "small", "parcel", "--out", "out"]) == 1
    finally:
        os.chdir(here)
        sys.path[:] = search
    said = capsys.readouterr().err
    assert said.startswith(
        "error: this Python lacks no_such_parent.child, no_such_module, no-such-package (for carried);"
    )
    assert not (here / "local" / "offline" / "params.yaml").exists() and not (here / "out").exists()


def test_stages_wait_for_what_they_read(tool: ModuleType) -> None:
    text = (ROOT / "dvc.yaml").read_text()
    jobs = {job.name: job for job in tool.offline_graph.stages(tool.offline_graph.parsed(STUDY), text)}
    assert len(jobs) == 18 and jobs["params"].after == ()
    assert {"params", "data", "checkpoint@base"} <= set(jobs["train@first"].after)
    assert "train@first" in jobs["train@second"].after and "train@second" not in jobs["train@first"].after
    assert "generate@second" in jobs["score@second"].after and "score@second" in jobs["report"].after


RIVAL = """\
import os, subprocess, sys, time
print(sys.argv[1:], os.environ["XDG_CACHE_HOME"], os.environ["PIP_NO_INDEX"], flush=True)
if "slow" in sys.argv:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open("child", "w").write(str(child.pid))
    time.sleep(60)
"""


def alive(status: Path) -> bool:
    """Whether a process runs, by its file in /proc; one that nobody has waited for yet does not."""
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_stability_is_the_largest_difference_and_the_share_of_other_summaries(tool: ModuleType, workdir: Path) -> None:
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


@pytest.mark.parametrize("name", ["dialogsum-small", "miniature"])
def test_the_short_study_is_one_that_the_project_takes(tool: ModuleType, name: str) -> None:
    raw = tool.offline_graph.parsed((ROOT / "studies" / f"{name}.yaml").read_text())
    params = config.parse(tool.offline_measures.short(raw, "bfloat16", 20), "short")
    assert list(params.variants) == ["short"] and params.compute.precision == "bfloat16"


def test_it_starts_from_the_command_line() -> None:
    done = subprocess.run([sys.executable, "tools/offline_run.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "pack dialogsum-small local/parcel" in done.stdout
