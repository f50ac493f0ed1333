"""What each stage of dvc.yaml is made of: its settings as they were read, and the code that it runs.

The stage `params` writes one file a stage and item, `checked/stages/train/lora.json`, and that stage depends on it. So a
stage is stale when its own settings or code change and at no other time: code is followed from import to import, from
the stage's script and the plugins that the settings name. Settings hold what params.yaml leaves to a default. The room
`bench/core` is left out: it reads, writes and finds, and what it does to a result is seen in the files that DVC compares.
Comments and docstrings change no result and do not count.
"""

from __future__ import annotations

import ast
import functools
import io
import json
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import paths
from bench.core.blocks import TextConfig
from bench.core.parameters import Params
from bench.core.storage import sha256_text

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds bench/ and stages/
LEFT_OUT = Path("bench", "core")
STAGES = paths.CHECKED / "stages"


@dataclass(frozen=True)
class Stage:
    """A stage's settings, and the files of code that its imports start from, relative to the project's root."""

    settings: dict[str, Any]
    start: tuple[Path, ...]

    def text(self, root: Path = ROOT) -> str:
        """Return the file that the stage depends on: settings, and a digest of each file of code."""
        code = {path.as_posix(): digest(root / path) for path in closure(self.start, root)}
        return json.dumps({"settings": self.settings, "code": code}, indent=1, ensure_ascii=False) + "\n"


def inputs_path(stage: str, item: str | None = None) -> Path:
    """Return the file that a stage (of an item: a variant or checkpoint) depends on."""
    return STAGES / f"{stage}.json" if item is None else STAGES / stage / f"{item}.json"


def stages(params: Params) -> dict[Path, Stage]:
    """Return every stage of a study by the file that it depends on."""
    found = {inputs_path("data"): _stage("data", {"data": params.data}, _plugin("datasets", params.data.dataset))}
    compute = params.compute.model_dump(mode="json", exclude={"save_seconds"})  # when states are saved changes none
    shared = {"text": params.text, "compute": compute}
    metrics = [path for name in params.metrics for path in _plugin("metrics", name)]
    metrics += [path for model in params.rewards.values() for path in _plugin("reward_models", model.form)]
    # Which decodings there are beside a variant's own changes none of its summaries.
    written = params.generation.model_dump(mode="json", exclude={"decodings", "primary"})
    scored = shared | {"metrics": params.metrics, "generation": written, "dataset": params.data.dataset}
    checked = {"checkpoints": params.checkpoints, "variants": params.variants, "metrics": params.metrics}
    checked |= {"text": params.text, "generation": params.generation, "evaluate_on": params.evaluate_on}
    checked |= {"rewards": params.rewards, "preferences": params.preferences, "training_sets": params.training_sets}
    for name, path in params.sources.items():
        found[inputs_path("source", name)] = _stage("source", {"path": path})
    for name, checkpoint in params.checkpoints.items():
        own = {"checkpoint": checkpoint, "compute": compute}
        found[inputs_path("checkpoint", name)] = _stage("checkpoint", own, _plugin("checkpoints", checkpoint.source))
    sources = [path for source in params.preferences.values() for path in _plugin("preferences", source.source)]
    sources += [path for made in params.training_sets.values() for path in _plugin("training_sets", made.source)]
    found[inputs_path("check")] = _stage("check", checked, [*metrics, *sources])
    for name, block in params.variants.items():
        own = {"start": params.start_of(name), "trainings": params.trainings_of(name), "text": params.text_of(name)}
        trained = shared | own | {"variant": block.model_dump(mode="json", exclude={"decoding"})}
        taught = _teacher(params, block)
        found[inputs_path("train", name)] = _stage("train", trained, [*_plugin("methods", block.method), *taught])
        writes = own | {"decoding": params.decoding_of(name)}
        found[inputs_path("generate", name)] = _stage("generate", shared | writes | {"generation": written}, taught)
        found[inputs_path("score", name)] = _stage("score", scored | writes, metrics)
    for name, source in params.preferences.items():
        own = {"block": source, "seed": params.seed, "text": _text_of(params, source.init)}
        found[inputs_path("preferences", name)] = _stage(
            "preferences", shared | own, [*_plugin("preferences", source.source), *_teacher(params, source)]
        )
    for name, made in params.training_sets.items():
        own = {"block": made, "seed": params.seed, "text": _text_of(params, made.init)}
        code = _plugin("training_sets", made.source)
        found[inputs_path("training_set", name)] = _stage("training_set", shared | own, code)
    for name, model in params.rewards.items():
        own = {"block": model, "seed": params.seed, "text": _text_of(params, model.init)}
        found[inputs_path("reward", name)] = _stage("reward", shared | own, _plugin("reward_models", model.form))
    found[inputs_path("yardsticks")] = _stage("yardsticks", scored, metrics)
    for name, other in params.evaluate_on.items():
        systems = {v: [params.trainings_of(v), params.text_of(v), params.decoding_of(v)] for v in params.variants}
        own = scored | {"evaluate_on": other, "trainings": systems}
        found[inputs_path("transfer", name)] = _stage("transfer", own, [*metrics, *_plugin("datasets", other.dataset)])
    whole = {key: getattr(params, key) for key in type(params).model_fields if key != "gate"}
    found[inputs_path("report")] = _stage("report", whole, metrics)
    return found


def _teacher(params: Params, block: Any) -> list[Path]:
    """The code of the reward model that a block follows, and of the metrics that its reward asks."""
    path, reward = Path(block.learns_from), getattr(block, "reward", None)
    model = params.rewards.get(path.name) if path.parent == paths.MODELS else None
    found = _plugin("reward_models", model.form) if model else []
    return found + [file for name in (reward.metrics if reward else ()) for file in _plugin("metrics", name)]


def _text_of(params: Params, model: str) -> TextConfig:
    """What a checkpoint or variant is given round a dialogue."""
    return params.text_of(model) if model in params.variants else params.text


def _stage(name: str, settings: dict[str, Any], plugins: Iterable[Path] = ()) -> Stage:
    plain = json.loads(json.dumps(settings, default=lambda value: value.model_dump(mode="json")))
    return Stage(plain, (Path("stages", f"{name}.py"), *plugins))


def _plugin(folder: str, name: str) -> list[Path]:
    """The file of a plugin, or the files of its folder."""
    at = Path("bench", folder, name)
    return [at / "__init__.py"] if (ROOT / at).is_dir() else [at.with_suffix(".py")]


def closure(start: Iterable[Path], root: Path = ROOT) -> list[Path]:
    """Return every file of bench and stages that running the files of `start` can load, sorted; imports in functions count."""
    seen, queue = set[Path](), list(start)
    while queue:
        path = queue.pop()
        if path not in seen and not path.is_relative_to(LEFT_OUT):
            seen.add(path)
            queue += imported(root / path, root)
    return sorted(seen)


@functools.cache
def imported(path: Path, root: Path) -> tuple[Path, ...]:
    """Return the files of bench that a file imports, and the JSON beside it that it names, relative to `root`.

    What stands under TYPE_CHECKING is never run.
    """
    found: set[Path] = set()
    if path.suffix != ".py":
        return ()
    for node in _running(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".json"):
            beside = path.with_name(node.value.rpartition("/")[2])
            found |= {beside.relative_to(root)} if beside.is_file() else set()
            continue
        else:
            continue
        for name in names:
            if name.partition(".")[0] == "bench":
                found |= _files(name, root)
    return tuple(sorted(found))


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _running(node)


def _files(name: str, root: Path) -> set[Path]:
    """The file that a dotted name stands for and the packages round it; none where it is no module."""
    at = Path(*name.split("."))
    parts = {at.with_suffix(".py"), *(parent / "__init__.py" for parent in (at, *at.parents) if parent != Path())}
    return {path for path in parts if (root / path).is_file()}


@functools.cache
def digest(path: Path) -> str:
    """Return sixteen hex digits of a file's code, without comments, docstrings and blank lines; of data, of all of it."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return sha256_text(source)[:16]
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                for number in range(first.lineno, (first.end_lineno or first.lineno) + 1):
                    lines[number - 1] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1]:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return sha256_text("\n".join(line.rstrip() for line in lines if line.strip()))[:16]
