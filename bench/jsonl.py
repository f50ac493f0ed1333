"""Datasets that lie in local JSONL files: which file serves which split, its pinned digest, how many rows are taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from bench import artifacts
from bench.schema import DatasetConfig, Example, Strict, UserError, readable


class File(Strict):
    """One split's file. `sha256` pins its bytes: DVC does not watch files outside the project, the digest does.

    `every` keeps each k-th row from the first on (`every: 100` gives the course lab's 125 training dialogues), `first`
    then the first so many of those.
    """

    file: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    every: int = Field(1, ge=1)
    first: int | None = Field(None, ge=1)

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError("must lie below data.path; name it from there")
        return file


class JsonlConfig(DatasetConfig):
    """`path` is the folder that holds the three files; a relative one starts at the project's root."""

    path: str = Field(min_length=1)
    train: File
    validation: File
    test: File


def load(config: JsonlConfig, example: Callable[[dict[str, Any], str], Example | None]) -> dict[str, list[Example]]:
    """Read the three splits. `example` makes one of a row and its split (KeyError or ValueError: the row is at fault),
    or None for a row the dataset is known to be better without.

    Raises:
        UserError: a file is missing, is not the pinned one, or a row of it is wrong; it names file, line and field.
    """
    splits = {}
    for split in artifacts.SPLITS:
        chosen: File = getattr(config, split)
        path = Path(config.path) / chosen.file
        try:
            found = artifacts.sha256_file(path)
        except FileNotFoundError:
            raise UserError(
                f"params.yaml: data.{split}.file: {path} does not exist; correct data.path or put the file there."
            ) from None
        except (OSError, ValueError) as error:
            raise UserError(
                f"params.yaml: data.{split}.file: {path} cannot be read ({error}); name a readable file."
            ) from None
        if chosen.sha256 not in (None, found):
            raise UserError(
                f"params.yaml: data.{split}.sha256: {path} has {found}, not the pinned {chosen.sha256}; "
                "restore the file or pin the new one."
            )
        rows = [one for one in _examples(path, split, example) if one is not None]
        splits[split] = rows[:: chosen.every][: chosen.first]
        if not splits[split]:
            raise UserError(f"params.yaml: data.{split}.file: {path} holds no dialogue; name a file that does.")
    return splits


def text(row: dict[str, Any], field: str) -> str:
    """A field of a row that must hold text, without the white space round it.

    Raises:
        KeyError: there is no such field.
        ValueError: it holds something else, nothing, or control characters.
    """
    value = row[field]
    if not isinstance(value, str):
        raise ValueError(f"field '{field}' must hold text, and holds {json.dumps(value)[:40]}")
    try:
        return readable(value.strip())
    except ValueError as error:
        raise ValueError(f"field '{field}' {error}") from None


def _examples(
    path: Path, split: str, example: Callable[[dict[str, Any], str], Example | None]
) -> Iterator[Example | None]:
    lines: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                one = example(_row(line, number), split)
            except KeyError as error:
                raise UserError(f"{path} line {number}: field {error} is missing; mend that line.") from None
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path} line {number}: not UTF-8 text ({error.reason} at byte {error.start} of the line); "
                    "save the file as UTF-8."
                ) from None
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path} line {number}: {_reason(error)}; mend that line.") from None
            if one is not None and one.id in lines:
                raise UserError(
                    f"{path} line {number}: the id '{one.id}' stands in line {lines[one.id]} too; give each its own."
                )
            if one is not None:
                lines[one.id] = number
            yield one


def _row(line: bytes, number: int) -> dict[str, Any]:
    """The JSON object in a line; the first line may start with a byte order mark."""
    row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    return row


def _reason(error: Exception) -> str:
    """What is wrong with a row, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg} at column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
