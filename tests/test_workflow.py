"""The workflow and the hooks: they parse, read the base branch's history, and put no foreign text into a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


JOBS = read(".github/workflows/evaluate.yml")["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def test_no_expression_is_pasted_into_a_shell() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) >= 5
    assert not [script for script in scripts if "${{" in script]


def test_the_code_of_a_pull_request_runs_with_a_token_that_only_reads() -> None:
    workflow = read(".github/workflows/evaluate.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["evaluate"]
    assert JOBS["comment"]["permissions"] == {"pull-requests": "write"}
    assert not any("checkout" in step.get("uses", "") for step in JOBS["comment"]["steps"])
    checkout = next(step for step in STEPS if "checkout" in step.get("uses", ""))["with"]
    assert checkout == {"fetch-depth": 0, "persist-credentials": False}


@pytest.mark.parametrize("length", [10, 200_000])
def test_the_comment_fits(workdir: Path, length: int) -> None:
    script = next(step["run"] for step in STEPS if step.get("name") == "Summary")
    Path("gate.md").write_text("# gate: é\n" * (length // 10), encoding="utf-8")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "GITHUB_STEP_SUMMARY": "summary.md"}
    subprocess.run(["bash", "-e", "-c", script], check=True, env=environment)
    comment = Path("comment.md").read_text(encoding="utf-8")
    assert comment.startswith("# gate: é")
    assert len(comment) < 61_000
    assert ("Cut here" in comment) == (length > 60_000)
    assert Path("summary.md").read_text(encoding="utf-8") == comment


@pytest.mark.parametrize(("content", "status"), [(None, 0), ("study: 1\n", 1)])
def test_the_params_hook_says_one_sentence(workdir: Path, content: str | None, status: int) -> None:
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    words = shlex.split(next(hook for hook in hooks if hook["id"] == "params")["entry"])
    assert words[:2] == ["python3", "run.py"]
    path = workdir / "params.yaml"
    path.write_text(content or (ROOT / "studies" / "miniature.yaml").read_text())
    done = subprocess.run([sys.executable, *words[3:], str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1
