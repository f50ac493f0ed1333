"""`dvc repro` of a tiny study, killed in the midst of a stage, ends with the bytes of one that was left alone.

    BENCH_FAULTS=long python -m pytest -n0 -s tests/faults/test_kill.py

kills twenty times, prints seed, stage, moment and signal of each, and takes about a quarter of an hour; the short form,
part of the tests, kills twice. Stages are drawn until each was hit, then anew: the long form hits every one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.project import Project, tiny

KILLS = 20 if os.environ.get("BENCH_FAULTS") == "long" else 2
SEED = int(os.environ.get("BENCH_FAULTS_SEED", "0"))
RESULTS = ("data/*", "predictions/*", "scores/*", "curves/*", "models/*/*.safetensors", "reports/*/metrics.json")
BEGINS, NOTED = "Running stage '", "ing lock file 'dvc.lock'"  # what DVC says before and after a stage


def study() -> dict[str, Any]:
    """Every kind of stage, each long enough to be hit half way: states are kept at every logged step."""
    raw = tiny()
    raw["compute"]["save_seconds"] = 0
    full = raw["variants"]["lora"] | {"optim": {"learning_rate": 1e-3, "batch_size": 4, "steps": 40}}
    full.pop("adapter")
    dpo = {
        "method": "dpo",
        "init": "full",
        "learns_from": "models/reward",
        "beta": 0.2,
        "optim": {"learning_rate": 1e-4, "batch_size": 4, "steps": 30},
        "pairs": {"prompts": 16, "samples": 40, "margin": 0.0, "max_new_tokens": 64, "batch_size": 4},
    }
    ppo = raw["variants"]["ppo"] | {"init": "full", "iterations": 12}
    raw["variants"] = {"full": full, "ppo": ppo, "dpo": dpo}
    raw["generation"] |= {"batch_size": 1}
    return raw


def results(folder: Path) -> dict[str, bytes]:
    """Everything that must not depend on a kill: no seconds, no memory."""
    return {str(path.relative_to(folder)): path.read_bytes() for kind in RESULTS for path in folder.glob(kind)}


def begin(project: Project) -> subprocess.Popen[str]:
    return project.start("repro", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def undisturbed(project: Project) -> dict[str, float]:
    """Run the study; the seconds of each of its stages, in their order."""
    process, seconds, stage, began = begin(project), dict[str, float](), "", 0.0
    for line in process.stdout or ():
        if line.startswith(BEGINS):
            stage, began = line.split("'")[1], time.monotonic()
        elif NOTED in line:
            seconds[stage] = time.monotonic() - began
    assert process.wait() == 0, f"dvc repro failed in {stage}"
    return seconds


def forget(project: Project, stage: str) -> None:
    """As if the stage had never run: DVC's notes of it, its outputs, and all that was kept on the way to them."""
    lock, yaml = project.folder / "dvc.lock", YAML()
    noted = yaml.load(lock.read_text())
    for out in noted["stages"].pop(stage, {}).get("outs", []):
        path = project.folder / out["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with lock.open("w") as file:
        yaml.dump(noted, file)
    for folder in (".dvc/cache/runs", "work"):
        shutil.rmtree(project.folder / folder, ignore_errors=True)


def killed(project: Project, stage: str, after: float, by: signal.Signals) -> bool:
    """Send `dvc repro` and the stage a signal `after` seconds of that stage; whether it was still at work."""
    process = begin(project)
    assert process.stdout
    try:
        before = next(line for line in process.stdout if line.startswith(BEGINS))
        assert before.split("'")[1] == stage, "nothing but the forgotten stage is out of date"
        time.sleep(after)
    finally:
        os.killpg(process.pid, by)
    said = process.stdout.read()  # ends when the last process of the group has
    assert process.wait() in (0, -by), said
    return NOTED not in said


def kept(project: Project) -> list[Path]:
    """The folders of work that hold a whole state or finished rows."""
    folders = (project.folder / "work").glob("*/*")
    return [each for each in folders if any(any(each.rglob(kind)) for kind in ("state.pt", "complete.json", "*.jsonl"))]


def goes_on(project: Project, stage: str) -> bool:
    """Run the killed stage alone; whether it had something to go on from. What was kept is not thrown away, then."""
    folders = kept(project)
    for folder in folders:
        (folder / "mark").touch()  # goes when the stage empties the folder to start anew
    project.dvc("repro", "--single-item", stage)
    assert all((folder / "mark").exists() for folder in folders)
    return bool(folders)


def drawn(stages: list[str], rng: random.Random) -> Iterator[str]:
    """Stages without end, each once before any comes again."""
    while True:
        yield from rng.sample(stages, len(stages))


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_kills_leave_no_trace(tmp_path: Path) -> None:
    rng, project, resumed = random.Random(SEED), Project(tmp_path), 0
    project.params(study())
    seconds = undisturbed(project)
    alone = results(tmp_path)
    assert len([name for name in alone if name.startswith("models")]) == 6
    for number, stage in zip(range(1, KILLS + 1), drawn(list(seconds), rng), strict=False):
        while True:
            after, by = rng.uniform(0, seconds[stage]), rng.choice([signal.SIGKILL, signal.SIGTERM])
            forget(project, stage)
            hit = killed(project, stage, after, by)
            assert project.bench("mend")[0] == 0  # as run.py does before `dvc repro`
            if hit:
                break
            project.dvc("repro")  # the stage was done before: another moment
        went_on = goes_on(project, stage)
        resumed += went_on
        project.dvc("repro")
        how = f"{by.name} {after:.1f} s into {stage} (of {seconds[stage]:.1f} s)"
        print(
            f"kill {number} of {KILLS}, seed {SEED}: {how}, {'went on' if went_on else 'nothing kept yet'}", flush=True
        )
        assert results(tmp_path) == alone, how
    print(f"{KILLS} of {KILLS} kills, seed {SEED}: equal to the byte; {resumed} went on from what was kept")
