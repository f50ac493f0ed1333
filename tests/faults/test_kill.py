"""`dvc repro` of a tiny study, killed at random moments, ends with the bytes of one that was left alone.

    BENCH_FAULTS=long python -m pytest -n0 -s tests/faults/test_kill.py

kills twenty times, prints seed, moment and stage of each, and takes about a quarter of an hour; the short form, part of
the tests, kills twice.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, tiny

KILLS = 20 if os.environ.get("BENCH_FAULTS") == "long" else 2
SEED = int(os.environ.get("BENCH_FAULTS_SEED", "0"))
RESULTS = ("predictions/*.jsonl", "scores/*", "curves/*.csv", "models/*/*.safetensors", "reports/*/metrics.json")


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


def stages(process: subprocess.Popen[str], seen: list[str]) -> None:
    """Follow the names of the stages that run."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Running stage"):
            seen.append(line.split("'")[1])


def killed(project: Project, after: float) -> str | None:
    """Run `dvc repro` and kill it and its stage `after` seconds; the stage it was in, or None when it was done."""
    process, seen = project.start("repro", stdout=subprocess.PIPE, stderr=subprocess.STDOUT), [""]
    reader = threading.Thread(target=stages, args=(process, seen))
    reader.start()
    try:
        process.wait(after)
        assert process.returncode == 0, f"dvc repro failed by itself in {seen[-1]}"
        return None
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return seen[-1] or "start"
    finally:
        reader.join()


@pytest.mark.skipif(os.name == "nt", reason="process groups are POSIX")
def test_kills_leave_no_trace(tmp_path: Path) -> None:
    rng, hit = random.Random(SEED), list[str]()
    project = Project(tmp_path)
    project.params(study())
    project.dvc("repro")
    alone = results(tmp_path)
    assert len([name for name in alone if name.startswith("models")]) == 6
    while len(hit) < KILLS:
        project.forget()
        while (stage := killed(project, moment := rng.uniform(2, 25)) if len(hit) < KILLS else None) is not None:
            hit.append(stage)
            print(f"kill {len(hit)} of {KILLS}, seed {SEED}: after {moment:.1f} s in {stage}", flush=True)
        project.dvc("repro")
        assert results(tmp_path) == alone
