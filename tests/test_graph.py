"""Imports run from floor to floor, and each stage depends on the code it runs and on no other."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config
from bench.core import graph, plugins

ROOT = Path(__file__).resolve().parents[1]
# From the ground up. A room imports from the floors below it; rooms of one floor do not know each other.
FLOORS = [
    {"core", "stats"},
    {"data", "lm", "correlations", "rankings"},
    {"classifiers"},
    {"generation"},
    {"training", "miniature"},
    {"datasets", "checkpoints", "methods", "metrics", "preferences", "reward_models", "training_sets"},
    {"config"},
    {"evaluation", "report"},
    {"compare", "audit", "judgements", "standalone", "viewer"},
    {"commands"},
    {"cli"},
]
PLUGINS = {"datasets", "checkpoints", "methods", "metrics", "preferences", "reward_models", "training_sets"}
FILES = sorted((ROOT / "bench").rglob("*.py"))


def room(path: Path) -> str:
    """`bench/training/trainer.py` -> `training`."""
    return path.relative_to(ROOT / "bench").with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_from_the_floors_below_it(path: Path) -> None:
    level = {name: i for i, names in enumerate(FLOORS) for name in names}
    if path.parent == ROOT / "bench" and path.name == "__init__.py":
        assert not graph.imported(path, ROOT)
        return
    own = room(path)
    assert own in level, f"{own} stands on no floor; add it to FLOORS"
    for file in graph.imported(path, ROOT):
        if file == Path("bench/__init__.py"):
            continue
        other = room(ROOT / file)
        assert other == own or level[other] < level[own], f"{path.name} imports {file}, which does not lie below it"
        if own in PLUGINS and other == own and file.name != "__init__.py":
            method = path.parent if path.parent.parent.name == own else path
            assert (ROOT / file).is_relative_to(method), f"{path.name}: plugins never import each other ({file})"


def test_a_few_modules_lie_flat() -> None:
    assert len([path for path in FILES if path.parent == ROOT / "bench"]) <= 8


def closure_of(method: str) -> set[str]:
    """The files that training by a method depends on."""
    params = config.read(ROOT / "studies" / "miniature.yaml")
    variant = next(name for name, block in params.variants.items() if block.method == method)
    stage = graph.stages(params)[graph.inputs_path("train", variant)]
    return {path.as_posix() for path in graph.closure(stage.start)}


def test_training_depends_on_its_own_method_and_what_that_imports() -> None:
    sft, ppo, none = closure_of("sft"), closure_of("ppo"), closure_of("none")
    assert {"stages/train.py", "bench/methods/sft.py", "bench/training/trainer.py", "bench/lm/models.py"} <= sft
    assert {"bench/methods/ppo/equations.py", "bench/classifiers/loading.py", "bench/generation.py"} <= ppo
    for path in sft | none:
        assert "ppo" not in path and "dpo" not in path and "classifiers" not in path, path
    assert not any(path.startswith(("bench/report", "bench/compare", "bench/config", "bench/core")) for path in ppo)


def test_data_depends_on_the_code_that_reads_merges_and_splits() -> None:
    params = config.read(ROOT / "studies" / "thesis.yaml")
    code = {path.as_posix() for path in graph.closure(graph.stages(params)[graph.inputs_path("data")].start)}
    assert {f"bench/data/{name}.py" for name in ("files", "readers", "splits")} <= code
    assert "bench/datasets/dialogsum.py" in code and "bench/datasets/samsum.py" not in code


def loaded_by(statement: str) -> set[str]:
    """The files of this project that a statement loads in a process of its own."""
    code = (
        f"import sys; {statement}; "
        "print('\\n'.join(m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    return {str(Path(line).relative_to(ROOT)) for line in done.stdout.splitlines() if line.startswith(f"{ROOT}/bench")}


@pytest.mark.parametrize("name", plugins.names("method"))
def test_what_a_method_loads_is_among_what_its_stage_depends_on(name: str) -> None:
    """The closure is read from the source; Python's own word for what is imported must lie within it."""
    start = graph._plugin("methods", name)
    code = {path.as_posix() for path in graph.closure([Path("stages/train.py"), *start])}
    loaded = loaded_by(f"import stages.train, bench.methods.{name}")
    assert {path for path in loaded if not path.startswith("bench/core/")} <= code


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code, to edit."""
    for name in ("bench", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("bench/methods/ppo/equations.py", {"train/ppo"}),
        ("bench/methods/sft.py", {"train/full", "train/lora"}),
        ("bench/data/splits.py", {"data", "check"}),
        ("bench/metrics/rouge.py", {"check", "score/*", "yardsticks", "report"}),
        ("bench/report/plots.py", {"report"}),
        ("bench/report/published.json", {"report"}),
        ("bench/report/worth.json", {"report"}),
        ("bench/compare/gate/judge.py", set()),
        ("bench/core/terminal.py", set()),
    ],
)
def test_an_edit_makes_stale_what_runs_it(copy: Path, file: str, stale: set[str]) -> None:
    params = config.read(ROOT / "studies" / "miniature.yaml")
    stages = graph.stages(params)
    before = {path: stage.text(copy) for path, stage in stages.items()}
    (copy / file).write_text((copy / file).read_text() + "\nADDED = 1\n")
    graph.digest.cache_clear()
    graph.imported.cache_clear()
    changed = {path for path, stage in stages.items() if stage.text(copy) != before[path]}
    names = {path.relative_to(graph.STAGES).with_suffix("").as_posix() for path in changed}
    assert names >= {name for name in stale if "*" not in name}
    folded = {f"{name.split('/')[0]}/*" if f"{name.split('/')[0]}/*" in stale else name for name in names}
    assert folded == stale


def test_comments_and_docstrings_count_for_nothing_and_code_does(tmp_path: Path) -> None:
    path, other = tmp_path / "a.py", tmp_path / "b.py"
    path.write_text('"""One."""\n\n\ndef f(x):  # a word\n    """Two."""\n    return "# no comment", x\n')
    other.write_text('def f(x):\n    # another\n\n    return "# no comment", x\n')
    assert graph.digest(path) == graph.digest(other)
    other.write_text('def f(x):\n    return "# a comment", x\n')
    graph.digest.cache_clear()
    assert graph.digest(path) != graph.digest(other)


def test_what_params_leave_to_a_default_is_among_the_settings() -> None:
    params = config.read(ROOT / "studies" / "miniature.yaml")
    settings = graph.stages(params)[graph.inputs_path("train", "full")].settings
    assert settings["variant"]["optim"]["weight_decay"] == 0.0 and settings["text"]["chat"] is False
    assert "save_seconds" not in settings["compute"]  # when states are saved changes no result


def test_a_decoding_or_a_prompt_is_of_the_variants_that_have_it() -> None:
    raw = YAML(typ="safe").load((ROOT / "studies" / "miniature.yaml").read_text())
    before = graph.stages(config.parse(raw))

    def stale(**changes: Any) -> set[str]:
        after = graph.stages(config.parse(raw | changes))
        moved = {path for path in before if before[path].settings != after[path].settings}
        return {path.relative_to(graph.STAGES).with_suffix("").as_posix() for path in moved}

    beams = {"decodings": {"beams": {"num_beams": 2}}}
    assert stale(generation=raw["generation"] | beams) == {"check", "report"}, "nobody writes by it"
    lora = raw["variants"] | {"lora": raw["variants"]["lora"] | {"decoding": "beams"}}
    found = stale(generation=raw["generation"] | beams, variants=lora)
    assert found == {"check", "report", "generate/lora", "score/lora"}, "no training depends on it"
    full = raw["variants"] | {"full": raw["variants"]["full"] | {"text": {"prompt": "x {source}"}}}
    heirs = {"full", *(name for name, block in raw["variants"].items() if block["init"] == "full")}
    assert len(heirs) > 1, "what starts from it is asked the same"
    of_each = {f"{stage}/{name}" for stage in ("train", "generate", "score") for name in heirs}
    assert stale(variants=full) == {"check", "report"} | of_each


def test_whatever_asks_a_checkpoint_waits_for_all_of_them() -> None:
    """A metric may name any; DVC knows the three that every study has."""
    blocks = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert "checked/checkpoints/${key}.json" in blocks["checkpoint"]["do"]["outs"]
    for name in ("check", "score", "transfer", "yardsticks"):
        assert "checked/checkpoints" in blocks[name].get("do", blocks[name])["deps"], name


def test_every_stage_of_the_graph_has_its_file() -> None:
    raw = YAML(typ="safe").load((ROOT / "studies" / "preferences.yaml").read_text())
    made = {"mixed": {"source": "mix", "init": "base", "learns_from": "local/safe.json", "share": 0.1}}
    more = {"evaluate_on": {"other": raw["data"] | {"seed": 1}}, "sources": {"data": "local/x"}, "training_sets": made}
    params = config.parse(raw | more)
    blocks = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    wanted = set()
    for name, block in blocks.items():
        deps = block.get("do", block)["deps"]
        own = [dep for dep in deps if dep.startswith("checked/stages/")]
        assert name == "params" or len(own) == 1, name
        keys = {"checkpoints": params.checkpoints, "variants": params.variants, "evaluate_on": params.evaluate_on}
        keys |= {"sources": params.sources, "preferences": params.preferences, "rewards": params.rewards}
        keys |= {"training_sets": params.training_sets}
        items = keys[block["foreach"].strip("${}")] if "foreach" in block else [""]
        wanted |= {Path(dep.replace("${key}", key)) for dep in own for key in items}
    assert wanted == set(graph.stages(params))


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_writes_what_dvc_looks_for_in_its_blocks(path: Path) -> None:
    """DVC reads the file itself, without our defaults."""
    raw = YAML(typ="safe").load(path.read_text())
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in (stage for stage in stages.values() if "foreach" in stage):
        wanted = set(re.findall(r"\$\{item\.(\w+)\}", str(stage["do"])))
        part = stage["foreach"].strip("${}")
        for name, block in raw.get(part, {}).items():
            assert not wanted or wanted <= set(block), f"{part}.{name}"


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_script_is_thin_and_shadows_no_library(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 45
    assert path.stem not in {"evaluate", "datasets", "accelerate", "transformers", "trl", "peft"}
    names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert path.stem in {"params", "report"} or "bench.config" not in names  # margins of the gate rerun nothing


def test_checking_params_loads_no_torch() -> None:
    code = (
        "import sys; from bench import config; from bench.core import plugins; "
        "[plugins.find(kind, name) for kind in plugins.FOLDERS for name in plugins.names(kind)]; "
        "config.read('studies/miniature.yaml'); "
        "assert not {'torch', 'transformers', 'datasets', 'evaluate'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
