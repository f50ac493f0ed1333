"""Whether a report is what its project would make: dvc.lock against params.yaml, the report's files and the code.

Reads dvc.lock's YAML; DVC itself takes a second to import. What cannot be decided counts as stale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import artifacts
from bench.compare.sources import NotComparable, Source, Tree
from bench.compare.text import mapping, yaml

LOCK = Path("dvc.lock")
FILES = ("metrics.json", "scores.csv", "costs.json")
CODE = ("bench/", "stages/")


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
    found = mapping(yaml(content, f"{LOCK} of {source.name}").get("stages"), where)
    stages = {str(name): mapping(block, f"{where}.{name}") for name, block in found.items()}
    _check_outputs(source, study, stages)
    current = {name: block for name, block in stages.items() if _exists(name, params)}
    for name, block in current.items():
        recorded = mapping(block.get("params") or {}, f"{where}.{name}.params").get(str(artifacts.PARAMS)) or {}
        for key, value in mapping(recorded, f"{where}.{name}.params.{artifacts.PARAMS}").items():
            if _at(params, str(key)) != value:
                raise NotComparable(
                    f"dvc.lock of {source.name} is stale: stage '{name}' ran with another `{key}` than {artifacts.PARAMS} "
                    "says; run `dvc repro` and commit."
                )
    if isinstance(source, Tree):
        _check_code(current)


def _check_outputs(source: Source, study: str, stages: dict[str, Any]) -> None:
    """The report's files must be those that the report stage wrote."""
    where = f"{LOCK} of {source.name}: stages.report"
    outs = {
        str(out.get("path")): out.get("md5") for out in _entries(mapping(stages.get("report"), where), "outs", where)
    }
    for file in FILES:
        path = (artifacts.report_dir(study) / file).as_posix()
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
        raise NotComparable(f"{where}.{part} is no list; run `dvc repro` to write it again.")
    return [mapping(entry, f"{where}.{part}") for entry in found]


def _exists(stage: str, params: dict[str, Any]) -> bool:
    """Whether params still names what a foreach stage is about: a removed variant leaves its entry in dvc.lock."""
    name, _, item = stage.partition("@")
    blocks = params.get("checkpoints" if name == "checkpoint" else "variants")
    return not item or (isinstance(blocks, dict) and item in blocks)


def _at(params: dict[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none, as DVC has it."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_code(stages: dict[str, Any]) -> None:
    """Every file of code that a stage depends on must be as it was when the stage ran."""
    found: dict[str, str] = {}
    for name, block in stages.items():
        for dep in _entries(block, "deps", f"{LOCK}: stages.{name}"):
            path = str(dep.get("path"))
            if not path.startswith(CODE):
                continue
            if path not in found:
                found[path] = _digest(Path(path))
            if found[path] != dep.get("md5"):
                raise NotComparable(
                    f"dvc.lock is stale: {path} changed since stage '{name}' ran; run `dvc repro` and commit."
                )


def _digest(path: Path) -> str:
    """DVC's md5 of a file, or of a folder: that of the sorted list of its files' md5 and paths."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    entries = [{"md5": _digest(file), "relpath": file.relative_to(path).as_posix()} for file in _files(path)]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder that .dvcignore leaves in."""
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
