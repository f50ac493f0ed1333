"""Datasets that lie in local JSONL files: which file serves which split, its pinned digest, how many rows are taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bench import artifacts
from bench.schema import DatasetConfig, Example, Strict, UserError


class File(Strict):
    """One split's file. `sha256` pins its bytes: DVC does not watch files outside the project, the digest does.

    `every` keeps each k-th row from the first on (`every: 100` gives the course lab's 125 training dialogues), `first`
    then the first so many of those.
    """

    file: str
    sha256: str | None = None
    every: int = Field(1, ge=1)
    first: int | None = Field(None, ge=1)


class JsonlConfig(DatasetConfig):
    """`path` is the folder that holds the three files; a relative one starts at the project's root."""

    path: str
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
        if not path.is_file():
            raise UserError(
                f"params.yaml: data.{split}.file: {path} does not exist; correct data.path or put the file there."
            )
        found = artifacts.sha256_file(path)
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


def _examples(
    path: Path, split: str, example: Callable[[dict[str, Any], str], Example | None]
) -> Iterator[Example | None]:
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                one = example(json.loads(line), split)
            except KeyError as error:
                raise UserError(f"{path} line {number}: field {error} is missing; mend that line.") from None
            except (ValueError, TypeError, AttributeError) as error:
                reason = _reason(error)
                raise UserError(
                    f"{path} line {number}: not a row of this dataset ({reason}); mend that line."
                ) from None
            if one is not None and one.id in seen:
                raise UserError(f"{path} line {number}: the id '{one.id}' stands twice; give each dialogue its own.")
            if one is not None:
                seen.add(one.id)
            yield one


def _reason(error: Exception) -> str:
    """What is wrong with a row, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
