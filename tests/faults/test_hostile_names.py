"""Names in params.yaml are a stranger's: `dvc repro` runs none of them and clears no folder that they point to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
GRAPH = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
Raw = dict[str, Any]


def test_no_command_of_the_graph_holds_a_name() -> None:
    commands = [block.get("do", block)["cmd"] for block in GRAPH.values()]
    assert commands == [f"python -m stages.{name}" for name in GRAPH]


def ancestors(stage: str) -> set[str]:
    """Stages that DVC runs before `stage`, by what they write; a name in a path stands for any."""

    def paths(name: str, part: str) -> list[str]:
        entries = GRAPH[name].get("do", GRAPH[name]).get(part, [])
        return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]

    found, queue = set[str](), [stage]
    while queue:
        needed = {dep.split("$")[0].split("/")[0] for dep in paths(queue.pop(), "deps")}
        new = {name for name in GRAPH if {out.split("/")[0] for out in paths(name, "outs")} & needed} - found
        found |= new
        queue += new
    return found


@pytest.mark.parametrize("stage", [name for name in GRAPH if name != "params"])
def test_the_names_are_checked_before_any_stage_that_has_one_in_a_path(stage: str) -> None:
    assert "params" in ancestors(stage)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code in a DVC project, with a folder that nobody but its owner may touch."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("bench", "stages", "studies"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    run(folder, "dvc", "init", "-q", "--no-scm")
    (folder / "local").mkdir()
    (folder / "local" / "precious").write_text("mine")
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    tool = Path(sys.executable).parent / command[0]
    return subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, env=environment)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".dvc" not in path.relative_to(folder).parts
    }


def checkpoint(name: str) -> Callable[[Raw], None]:
    return lambda raw: raw["checkpoints"].update({name: raw["checkpoints"]["judge"]})


def variant(name: str) -> Callable[[Raw], None]:
    return lambda raw: raw["variants"].update({name: raw["variants"]["baseline"]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (variant("x; touch pwned"), "error: params.yaml: variants.x; touch pwned: use at most"),
        (checkpoint("$(touch pwned)"), "error: params.yaml: checkpoints.$(touch pwned): use at most"),
        (checkpoint("../local"), "error: params.yaml: checkpoints.../local: use at most"),
        (lambda raw: raw.update(study="../local"), "error: params.yaml: study: "),
        (lambda raw: raw["variants"]["full"].update(learns_from="../../x"), "variants.full.learns_from: "),
    ],
    ids=["variant in a shell", "checkpoint in a shell", "out path", "report path", "dependency"],
)
def test_dvc_refuses_before_it_runs_or_clears_anything(project: Path, change: Any, said: str) -> None:
    raw = YAML(typ="safe", pure=True).load((project / "studies" / "miniature.yaml").read_text())
    change(raw)
    YAML().dump(raw, project / "params.yaml")
    before = files(project)
    done = run(project, "dvc", "repro")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert files(project) == before


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("train@x; touch pwned", "error: params.yaml: variants: there is no 'x; touch pwned'"),
        ("train@lo\nra\x1b[31m", "error: params.yaml: variants: there is no 'lo ra'; known: "),
    ],
)
def test_a_stage_asked_for_by_itself_takes_its_item_from_dvc_and_checks_it(project: Path, item: str, said: str) -> None:
    shutil.copy(project / "studies" / "miniature.yaml", project / "params.yaml")
    before = files(project)
    done = subprocess.run(
        [sys.executable, "-m", "stages.train"],
        cwd=project,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(project), "DVC_STAGE": item, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
    assert files(project) == before
