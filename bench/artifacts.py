"""The only file that knows where things lie and how rows are written. A file appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench import processes
from bench.schema import Example, Prediction, ScoreRow, Strict, UserError

Row = TypeVar("Row", bound=Strict)

SPLITS = ("train", "validation", "test")
DATA, MODELS, CURVES, PREDICTIONS, SCORES, COSTS, CHECKED = (
    Path(name) for name in ("data", "models", "curves", "predictions", "scores", "costs", "checked")
)
REPORTS, STUDIES, PARAMS = Path("reports"), Path("studies"), Path("params.yaml")

WEIGHTS = (".safetensors",)  # pickles are never read
KINDS = ("full", "adapter", "alias")

# Rows of the table that no model wrote: the first three turns, and one human reference held against the others.
YARDSTICKS = ("lead-3", "human")


def split_path(split: str) -> Path:
    """Where the examples of one split lie."""
    return DATA / f"{split}.jsonl"


def model_path(name: str) -> Path:
    """The folder of a checkpoint or a trained variant."""
    return MODELS / name


def training_name(variant: str, seed: int) -> str:
    """What a variant's further training with `seed` is called: its folder lies in that of the first training."""
    return f"{variant}/seed-{seed}"


def curve_path(name: str) -> Path:
    """The training curve of a variant: one row a logged step. A further training's lies beside its folder of weights."""
    return (MODELS if "/" in name else CURVES) / f"{name}.csv"


def predictions_path(variant: str) -> Path:
    """Where the summaries of a variant lie."""
    return PREDICTIONS / f"{variant}.jsonl"


def scores_path(variant: str) -> Path:
    """Where the score rows of a variant lie, all metrics in one file."""
    return SCORES / f"{variant}.jsonl"


def signatures_path(variant: str) -> Path:
    """Where the signature of each column of a variant's scores lies."""
    return SCORES / f"{variant}.meta.json"


def cost_path(stage: str, name: str) -> Path:
    """Where the seconds and bytes of one stage run lie, apart from the scores, which are reproducible to the byte."""
    return COSTS / stage / f"{name}.json"


def report_dir(study: str) -> Path:
    """The folder in git that holds a study's report."""
    return REPORTS / study


def study_path(study: str) -> Path:
    """The file of a study; one that is not there is the user's error, which names those that are."""
    path = STUDIES / f"{study}.yaml"
    known = sorted(file.stem for file in STUDIES.glob("*.yaml"))
    if study not in known:  # which no path is
        shown = ", ".join(known) or "none here"
        raise UserError(f"{path} does not exist; studies: {shown}. Run the command at the project's root.")
    return path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is flushed to disk and renamed, on failure removed.

    Its name is always the same, so what a killed process left behind goes when the file is written again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if processes.rank():  # the first process writes it
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere) / path.name
        return
    aside = path.with_name(f".{path.name}.part")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` to write to; on success it takes the place of `path`, on failure it goes."""
    if processes.rank():
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)
        return
    aside = path.with_name(f".{path.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        for file in filter(Path.is_file, aside.rglob("*")):
            with file.open("rb") as written:
                os.fsync(written.fileno())
        shutil.rmtree(path, ignore_errors=True)
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source` without taking its room twice, or a copy across file systems."""
    source = source.resolve()  # a hard link to a symbolic link would dangle
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a fixed layout, so that equal values are equal files. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is the user's error with its name and line."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if "\\ud" in text.lower():  # half a surrogate pair could be read and never be written again
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro` to make it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it or run `dvc repro`.") from None


def _finite(text: str) -> float:
    """A number of a JSON file; NaN, infinities and what is too large for a float are none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object; restore it or run `dvc repro`.")
    return value


def write_rows(path: Path, rows: Iterable[Strict]) -> None:
    """Write one JSON object a line."""
    with whole_file(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row.model_dump_json() + "\n")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read the rows of `path`; the first bad line is the user's error, named by file, line and field."""
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                rows.append(kind.model_validate_json(line))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro` to make it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise UserError(f"{path} line {len(rows) + 1}: {field}: {first['msg']}; mend that line.") from None
    return rows


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; columns in the order of their first appearance, a missing value is empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with whole_file(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_split(split: str) -> list[Example]:
    """The examples of one split: at least one, each id once."""
    path, seen = split_path(split), set[str]()
    rows = read_rows(path, Example)
    for line, row in enumerate(rows, 1):
        if row.id in seen:
            raise UserError(f"{path} line {line}: the id '{row.id}' stands twice; run `dvc repro` to write it again.")
        seen.add(row.id)
    if not rows:
        raise UserError(f"{path} holds no dialogue; run `dvc repro` to write it again.")
    return rows


def read_predictions(variant: str) -> list[Prediction]:
    """The summaries of one variant."""
    return read_rows(predictions_path(variant), Prediction)


def read_scores(variant: str) -> list[ScoreRow]:
    """The score rows of one variant."""
    return read_rows(scores_path(variant), ScoreRow)


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Hex digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_folder(folder: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Hex digest over names and contents of the files directly in `folder` (those with one of `suffixes`)."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            total.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return total.hexdigest()


def read_manifest(name: str) -> dict[str, Any]:
    """How the weights of `models/<name>` are stored; an untouched checkpoint counts as a full model without parent.

    Raises:
        UserError: the manifest is broken, or its parents lead back to it.
    """
    own = _manifest(name)
    seen, parent = [name], own["parent"]
    while parent is not None:
        if parent in seen:
            raise UserError(
                f"{_manifest_path(name)}: parent: leads back to '{parent}'; run `dvc repro` to train it again."
            )
        seen.append(parent)
        parent = _manifest(parent)["parent"]
    return own


def _manifest_path(name: str) -> Path:
    return model_path(name) / "manifest.json"


def _manifest(name: str) -> dict[str, Any]:
    """One manifest, its kind and its parent checked: a parent is a name, never a path."""
    path = _manifest_path(name)
    found = {"kind": "full", "parent": None} | (read_object(path) if path.exists() else {})
    kind, parent = found["kind"], found["parent"]
    if kind not in KINDS:
        raise UserError(f"{path}: kind: must be one of {', '.join(KINDS)}; run `dvc repro` to train '{name}' again.")
    named = isinstance(parent, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", parent)
    if (parent is not None and not named) or (kind == "full") != (parent is None):
        raise UserError(
            f"{path}: parent: must name the model it was made from; run `dvc repro` to train '{name}' again."
        )
    if kind == "adapter" and not isinstance(found.get("parent_digest"), str):
        raise UserError(f"{path}: parent_digest: missing; run `dvc repro` to train '{name}' again.")
    return found


def lineage(name: str) -> list[Path]:
    """The folder of `name` and those of the weights it stands on."""
    parent = read_manifest(name)["parent"]
    return [model_path(name), *(lineage(parent) if parent else [])]


def weights_digest(name: str) -> str:
    """Identity of the weights that `name` stands for: a sha256 over its own files and its parent's identity."""
    facts = read_manifest(name)
    if facts["kind"] == "alias":
        return weights_digest(facts["parent"])
    own = sha256_folder(model_path(name), WEIGHTS)
    return own if facts["parent"] is None else sha256_text(own + weights_digest(facts["parent"]))


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes in a safetensors file, from its header, which must account for every byte of the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}); restore it or save the model again.") from None


def stored_parameters(name: str) -> int:
    """Parameters in the safetensors files of `models/<name>` and its parents, read from their headers alone."""
    facts = read_manifest(name)
    shapes = [shape for path in model_path(name).glob("*.safetensors") for shape in tensor_shapes(path).values()]
    own = sum(map(math.prod, shapes))
    return own if facts["parent"] is None else own + stored_parameters(facts["parent"])


def stored_bytes(name: str) -> int:
    """Bytes of the weights that `models/<name>` itself holds: an adapter's are its own, an alias has none."""
    return sum(path.stat().st_size for path in model_path(name).glob("*.safetensors"))
