"""Whether a report is what its project would make: dvc.lock against params.yaml, the report's files and the code.

Reads dvc.lock's YAML; DVC itself takes a second to import. What cannot be decided counts as stale.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bench.compare.sources import NotComparable, Source, Tree
from bench.core import graph, parameters, parsing, paths

LOCK = Path("dvc.lock")
FILES = ("metrics.json", "scores.csv", "costs.json")

MEND = "restore it, or run `bench mend`"
# What the stages that dvc.yaml runs for each of something are about, where that is no variant.
FOREACH = {
    "source": "sources",
    "checkpoint": "checkpoints",
    "preferences": "preferences",
    "training_set": "training_sets",
    "reward": "rewards",
    "transfer": "evaluate_on",
}


def check(source: Source, study: str, params: dict[str, Any]) -> None:
    """Refuse a report that is not of its project's params, and in the working tree not of its code either.

    A revision's code is left out: whoever compares with it takes its numbers as they were committed.

    Raises:
        NotComparable: dvc.lock is missing, broken or stale.
    """
    content = source.project(LOCK)
    if content is None:
        raise NotComparable(f"{LOCK} is missing in {source.name}; run `dvc repro` and commit it with the report.")
    where = f"{LOCK} of {source.name}: stages"
    found = parsing.mapping(parsing.parse_yaml(content, f"{LOCK} of {source.name}", MEND).get("stages"), where)
    stages = {str(name): parsing.mapping(block, f"{where}.{name}") for name, block in found.items()}
    _check_outputs(source, study, stages)
    current = {name: block for name, block in stages.items() if _exists(name, params)}
    for name, block in current.items():
        recorded = parsing.mapping(block.get("params") or {}, f"{where}.{name}.params").get(str(paths.PARAMS)) or {}
        for key, value in parsing.mapping(recorded, f"{where}.{name}.params.{paths.PARAMS}").items():
            if (found := _at(params, str(key))) != value:
                raise NotComparable(
                    f"dvc.lock of {source.name} is stale: stage '{name}' ran with another `{_differing(str(key), found, value)}` "
                    f"than {paths.PARAMS} says; run `dvc repro` and commit."
                )
    if isinstance(source, Tree):
        _check_code(study, params, current)


def models(source: Source) -> dict[str, str]:
    """Return the digest of each variant's weights as the stage that trained it left them; of those that dvc.lock tells.

    Raises:
        NotComparable: dvc.lock is broken.
    """
    content = source.project(LOCK)
    if content is None:
        return {}
    where = f"{LOCK} of {source.name}: stages"
    found = parsing.mapping(parsing.parse_yaml(content, f"{LOCK} of {source.name}", MEND).get("stages") or {}, where)
    digests: dict[str, str] = {}
    for name, block in found.items():
        kind, _, variant = str(name).partition("@")
        if kind == "train":
            outs = _entries(parsing.mapping(block, f"{where}.{name}"), "outs", f"{where}.{name}")
            own = (out for out in outs if out.get("path") == paths.model_path(variant).as_posix())
            digest = next((str(out["md5"]) for out in own if "md5" in out), None)
            digests |= {variant: digest} if digest else {}
    return digests


def _check_outputs(source: Source, study: str, stages: dict[str, Any]) -> None:
    """The report's files must be those that the report stage wrote."""
    where = f"{LOCK} of {source.name}: stages.report"
    outs = {
        str(out.get("path")): out.get("md5")
        for out in _entries(parsing.mapping(stages.get("report"), where), "outs", where)
    }
    for file in FILES:
        path = (paths.report_dir(study) / file).as_posix()
        content = source.report(study, file)
        if content is None:
            continue  # who needs the file says so
        if path not in outs:
            raise NotComparable(
                f"dvc.lock of {source.name} does not record {path}; `bench use {study}`, run `dvc repro` and commit."
            )
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != outs[path]:
            raise NotComparable(
                f"dvc.lock of {source.name} is stale: {path} is not what the report stage wrote; run `dvc repro` and commit."
            )


def _entries(block: dict[str, Any], part: str, where: str) -> list[dict[str, Any]]:
    """The deps or outs of a stage, each with its path and digest."""
    found = block.get(part) or []
    if not isinstance(found, list):
        raise NotComparable(f"{where}.{part} is no list; {MEND}.")
    return [parsing.mapping(entry, f"{where}.{part}") for entry in found]


def _exists(stage: str, params: dict[str, Any]) -> bool:
    """Whether params still names what a foreach stage is about: a removed variant leaves its entry in dvc.lock."""
    name, _, item = stage.partition("@")
    blocks = params.get(FOREACH.get(name, "variants"))
    return not item or (isinstance(blocks, dict) and item in blocks)


def _at(params: dict[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none, as DVC has it."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _differing(key: str, one: Any, other: Any) -> str:
    """The dotted key of the first value in which two blocks differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for inner in dict.fromkeys([*one, *other]):
            if one.get(inner) != other.get(inner):
                return _differing(f"{key}.{inner}", one.get(inner), other.get(inner))
    return key


def _check_code(study: str, params: dict[str, Any], stages: dict[str, Any]) -> None:
    """The settings and the code of every stage must be as they were when it ran."""
    for path, stage in graph.stages(parameters.parse(params)).items():
        name = "@".join(path.relative_to(graph.STAGES).with_suffix("").parts)
        if name not in stages:
            raise NotComparable(f"{LOCK} does not record stage '{name}' of {study}; run `dvc repro` and commit.")
        deps = {
            str(dep.get("path")): dep.get("md5") for dep in _entries(stages[name], "deps", f"{LOCK}: stages.{name}")
        }
        text = stage.text().encode()
        if hashlib.md5(text, usedforsecurity=False).hexdigest() != deps.get(path.as_posix()):
            raise NotComparable(
                f"{LOCK} is stale: {_changed(path, text)} changed since stage '{name}' ran; run `dvc repro` and commit."
            )


def _changed(path: Path, text: bytes) -> str:
    """The first file of code that differs from what the stage last ran with, where that is still told."""
    if path.exists():
        before, after = (json.loads(each)["code"] for each in (path.read_bytes(), text))
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                return str(name)
    return "its settings or code"
