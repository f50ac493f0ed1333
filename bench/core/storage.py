"""The only file that knows where things lie and how rows are written. A file appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bench.core import distributed, parsing
from bench.core.paths import predictions_path, scores_path, split_path
from bench.core.schema import Example, Prediction, ScoreRow, Strict, UserError, first_error

Row = TypeVar("Row", bound=Strict)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; on success it is flushed to disk and renamed, on failure removed.

    Its name is always the same, so what a killed process left behind goes when the file is written again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if distributed.rank():  # the first process writes it
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
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` to write to; on success it takes the place of `path`, on failure it goes."""
    if distributed.rank():
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
    """Write `text` as UTF-8, atomically."""
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_output(path: Path, text: str) -> None:
    """Write `text` where the user asked for it.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); name another path.") from None


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a fixed layout, so that equal values are equal files. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, fix: str = parsing.AGAIN) -> Any:
    """Read a JSON file; a missing or broken one is the user's error with its name, line and `fix`."""
    return parsing.parse_json(_read(path), str(path), fix)


def read_object(path: Path, fix: str = parsing.AGAIN) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    return parsing.parse_object(_read(path), str(path), fix)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro` to make it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None


def write_rows(path: Path, rows: Iterable[Strict]) -> None:
    """Write one JSON object a line."""
    with atomic_file(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
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
        raise UserError(
            f"{path} line {len(rows) + 1}: {first_error(error)}; run `dvc repro` to write it again."
        ) from None
    return rows


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; columns in the order of their first appearance, a missing value is empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_file(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_split(split: str) -> list[Example]:
    """Read the examples of one split: at least one, each id once."""
    return read_examples(split_path(split))


def read_examples(path: Path) -> list[Example]:
    """Read the examples of a split or a training set: at least one, each id once."""
    seen, rows = set[str](), read_rows(path, Example)
    for line, row in enumerate(rows, 1):
        if row.id in seen:
            raise UserError(f"{path} line {line}: the id '{row.id}' stands twice; run `dvc repro` to write it again.")
        seen.add(row.id)
    if not rows:
        raise UserError(f"{path} holds no dialogue; run `dvc repro` to write it again.")
    return rows


def read_predictions(variant: str) -> list[Prediction]:
    """Read the summaries of one variant."""
    return read_rows(predictions_path(variant), Prediction)


def read_scores(variant: str) -> list[ScoreRow]:
    """Read the score rows of one variant."""
    return read_rows(scores_path(variant), ScoreRow)


def sha256_file(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Return the hex digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_folder(folder: Path, suffixes: tuple[str, ...] = ()) -> str:
    """Return the hex digest of names and contents of the files directly in `folder` (those with one of `suffixes`)."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            total.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return total.hexdigest()
