"""The code's imports run one way, and each DVC stage depends on all the code it runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [
    {"plain", "schema", "stats", "processes"},
    {"margins"},
    {
        "artifacts",
        "runtime",
        "profanity",
        "miniature",
        "hub",
        "tables",
        "dataset_files",
        "plugins",
        "splits",
        "intake",
        "resume",
        "batching",
        "packed",
        "first_token",
        "architectures",
    },
    {"context", "models", "generate", "classify"},
    {"training"},
    {"datasets", "checkpoints", "methods", "metrics"},
    {"coherence"},
    {"config"},
    {"scoring", "report", "pin", "doctor", "mend", "preflight"},
    {"audit", "compare", "seeds"},
    {"cli"},
]
PLUGINS = {"datasets", "checkpoints", "methods", "metrics"}
# Shared by every stage and free of arithmetic: a change here reruns nothing by itself.
PLUMBING = set(
    "plain schema artifacts runtime plugins config context hub tables dataset_files coherence scoring margins splits intake resume processes".split()
)


def part(path: Path) -> str:
    """`bench/training/ppo.py` -> `training`."""
    return path.relative_to(ROOT / "bench").with_suffix("").parts[0]


def imported(path: Path, typing_too: bool = False) -> set[str]:
    """Dotted names below `bench` that a file imports, also inside its functions."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only and not typing_too:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                f"{node.module}.{alias.name}" if node.module.count(".") == 0 else node.module for alias in node.names
            }
            if node.module.count(".") == 1:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("bench.")}


FILES = sorted(
    path for path in (ROOT / "bench").rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT / "bench"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    own = part(path)
    assert own in level, f"{own} stands in no layer; add it to LAYERS"
    for name in imported(path):
        other = name.split(".")[1]
        assert level[other] <= level[own], f"{path.name} imports {name}, which lies above it"
        if own in PLUGINS and other == own:
            raise AssertionError(f"{path.name}: plugins never import each other ({name})")


def files_of(name: str) -> set[Path]:
    """The files that a dotted name stands for."""
    at = ROOT.joinpath(*name.split("."))
    return {p for p in (at.with_suffix(".py"), at / "__init__.py", at.parent.with_suffix(".py")) if p.exists()}


def closure(start: Path) -> set[Path]:
    """Every file of ours that running `start` can load."""
    seen, queue = set[Path](), [start]
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += [file for name in imported(path) for file in files_of(name)]
    return seen


STAGES = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
PLUGIN_OF = {
    "data": "datasets",
    "checkpoint": "checkpoints",
    "train": "methods",
    "score": "metrics",
    "yardsticks": "metrics",
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_runs(stage: str) -> None:
    block = STAGES[stage].get("do", STAGES[stage])
    declared = {dep for dep in block["deps"] if dep.startswith(("bench/", "stages/"))}
    needed = closure(ROOT / "stages" / f"{stage}.py")
    for plugin in (ROOT / "bench" / PLUGIN_OF[stage]).glob("*.py") if stage in PLUGIN_OF else ():
        needed |= {path for path in closure(plugin) if part(path) not in PLUGINS}
    for path in needed:
        relative = path.relative_to(ROOT)
        if path.name == "__init__.py" or (relative.parts[0] == "bench" and part(path) in PLUMBING):
            continue
        if relative.parts[0] == "bench" and part(path) in PLUGINS and part(path) != PLUGIN_OF.get(stage):
            continue  # loaded by name from params; the stage that runs it depends on it
        assert any(
            str(relative) == dep
            or str(relative).startswith(dep.rstrip("/") + "/")
            or ("${" in dep and str(relative.parent) == str(Path(dep).parent))
            for dep in declared
        ), f"stage {stage} runs {relative} and does not depend on it"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_script_is_thin_and_shadows_no_library(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 45
    assert path.stem not in {"evaluate", "datasets", "accelerate", "transformers", "trl", "peft"}


def test_checking_params_loads_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from bench import config, plugins; "
        "[plugins.find(kind, name) for kind in plugins.FOLDERS for name in plugins.names(kind)]; "
        "config.read('studies/miniature.yaml'); "
        "assert not {'torch', 'transformers', 'datasets', 'evaluate'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
