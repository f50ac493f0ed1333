"""Datasets that lie in files, here or on the hub: which file serves which split, its digest, how many rows are taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from bench.core import hub, paths, plugins, storage
from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, Identity, Strict, UserError, first_error, readable
from bench.data import readers
from bench.data.parts import Parts


class File(Strict):
    """One split's file: .jsonl, .json, .csv, .tsv or .parquet. `sha256` pins its bytes: DVC does not watch files outside the
    project, the digest does.

    `tag` keeps the rows that their own columns tag so, `every` each k-th of those from the first on (`every: 100` gives the
    course lab's 125 training dialogues), `first` then the first so many.
    """

    file: str = Field(min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    tag: Identity | None = None
    every: int = Field(1, ge=1)
    first: int | None = Field(None, ge=1)

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise ValueError("must lie below data.path; name it from there")
        return file


class FilesConfig(DatasetConfig):
    """Where the three files lie: `path`, a folder (a relative one starts at the project's root), or `repo`, a dataset
    of the hub at the commit `revision`. `parts` shares out a file that several splits name."""

    path: str | None = None
    repo: str | None = Field(None, pattern=hub.REPO)
    revision: str = "main"
    train: File
    validation: File
    test: File
    parts: Parts | None = None

    @model_validator(mode="after")
    def _one_place(self) -> FilesConfig:
        if (self.path is None) == (self.repo is None):
            raise ValueError("give either 'path', a folder, or 'repo', a dataset of the hub")
        return self

    def files(self) -> dict[str, str]:
        """Return each split's file."""
        return {split: getattr(self, split).file for split in paths.SPLITS}

    def check_splits(self) -> None:
        """Raise ValueError where one file serves several splits and nothing says which of its rows each has."""
        if self.parts is None:
            own = [(file, getattr(self, split).tag) for split, file in self.files().items()]
            for file in set(self.files().values()):
                tags = [tag for other, tag in own if other == file]
                if len(tags) > 1 and (None in tags or len(set(tags)) < len(tags)):
                    fix = "name a file of its own for one of them, or give each a 'tag' of its own"
                    if file == self.train.file:
                        fix = (
                            "add 'parts' (such as parts: {validation: 0.1, test: 0.1}), or give each a 'tag' of its own"
                        )
                    raise ValueError(f"two splits name one file; {fix}")
        elif self.validation.file == self.test.file != self.train.file:
            raise ValueError(
                "'validation' and 'test' name one file, and parts are kept back from the training file alone; name a file of its "
                "own for one of them"
            )

    def holds(self, split: str, source: str) -> bool:
        """Say whether a dialogue of a split's file belongs to that split."""
        shared = {each for each, file in self.files().items() if file == self.train.file}
        return self.parts is None or split not in shared or self.parts.split_of(source, shared) == split

    def check(self) -> None:
        """Raise UserError where `load` would for want of a file, of a commit or of the hub."""
        if self.repo is not None:
            hub.check("dataset", self.repo, self.revision, list(self.files().values()))
            return
        for split in paths.SPLITS:
            _path(self, _folder(self), split)

    def check_files(self, names: Collection[str]) -> None:
        """Refuse a commit of the hub whose files (their paths) do not hold those of the splits."""
        for split, file in self.files().items():
            if file not in names:
                raise UserError(
                    f"{hub.title('dataset', str(self.repo))}: data.{split}.file: revision {self.revision} holds no "
                    f"'{file}'; name one of: {', '.join(sorted(names))}."
                )


def load(config: FilesConfig, example: Callable[[dict[str, Any], str], Example | None]) -> dict[str, list[Example]]:
    """Read the three splits. `example` makes one of a row and its split (KeyError or ValueError: the row is at fault),
    or None for a row the dataset is known to be better without.

    Raises:
        UserError: a file is missing, is not the pinned one, or a row of it is wrong; it names file, line and field.
    """

    def kept(row: dict[str, Any], split: str) -> Example | None:
        one = example(row, split)
        return one if one is not None and config.holds(split, one.source) else None

    splits, folder = {}, _folder(config)
    for split in paths.SPLITS:
        chosen: File = getattr(config, split)
        path = _path(config, folder, split)
        found = storage.sha256_file(path)
        if chosen.sha256 not in (None, found):
            raise UserError(
                f"params.yaml: data.{split}.sha256: {path} has {found}, not the pinned {chosen.sha256}; "
                "restore the file or pin the new one."
            )
        rows = _merged(path, [one for one in _examples(path, split, kept) if one is not None])
        if chosen.tag is not None:
            known = ", ".join(sorted({tag for one in rows for tag in one.tags})) or "none"
            rows = [one for one in rows if chosen.tag in one.tags]
            if not rows:
                raise UserError(
                    f"params.yaml: data.{split}.tag: no row of {path} has the tag '{chosen.tag}'; the tags there: {known}."
                )
        splits[split] = rows[:: chosen.every][: chosen.first]
        if not splits[split]:
            raise UserError(f"params.yaml: data.{split}.file: {path} holds no dialogue; name a file that does.")
    return splits


def read(path: Path, example: Callable[[dict[str, Any]], Example | None]) -> list[Example]:
    """Read one file of rows, as `load` reads a split's.

    Raises:
        UserError: it is missing, or a row of it is wrong; it names file, line and field.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; put it there, or name another file.")
    return _merged(path, [one for one in _examples(path, "train", lambda row, _: example(row)) if one is not None])


def text(row: dict[str, Any], field: str) -> str:
    """Return a field of a row that must hold text, without the white space round it.

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


def identity(row: dict[str, Any], field: str) -> str:
    """Return a field of a row that names something: text, or a whole number as text.

    Raises:
        KeyError, ValueError: as `text`.
    """
    value = row[field]
    return str(value) if type(value) is int else text(row, field)


def _folder(config: FilesConfig) -> Path:
    """The folder of the splits' files, fetched from the hub if need be."""
    if config.repo is None:
        return Path(str(config.path))
    return hub.download("dataset", config.repo, config.revision, list(config.files().values()))


def _path(config: FilesConfig, folder: Path, split: str) -> Path:
    path = folder / config.files()[split]
    try:
        with path.open("rb"):
            return path
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise UserError(
            f"params.yaml: data.{split}.file: {path} cannot be read ({error}); name a readable file."
        ) from None
    if config.repo is None:
        fix = f"correct data.path or put the file there{paths.in_an_experiment()}"
    else:
        fix = "correct the name"
        if hub.unreachable() is None:
            config.check_files(hub.resolve("dataset", config.repo, config.revision)[1])
    raise UserError(f"params.yaml: data.{split}.file: {path} does not exist; {fix}.")


def _merged(path: Path, rows: list[Example]) -> list[Example]:
    """One example a dialogue: rows that share a dialogue give it all their references."""
    groups: dict[str, list[Example]] = {}
    for row in rows:
        groups.setdefault(row.dialogue_id, []).append(row)
    found = []
    for name, group in groups.items():
        if len({row.source for row in group}) > 1:
            raise UserError(f"{path}: the rows of '{name}' hold different dialogues; give each dialogue its own id.")
        references = tuple(reference for row in group for reference in row.references)
        found.append(group[0].model_copy(update={"id": name, "references": references}) if group[1:] else group[0])
    return found


def _examples(
    path: Path, split: str, example: Callable[[dict[str, Any], str], Example | None]
) -> Iterator[Example | None]:
    lines: dict[str, int] = {}
    for number, row in readers.rows(path):
        try:
            found = row()
            if not isinstance(found, dict):
                raise ValueError("not a JSON object")
            one = example(found, split)
        except KeyError as error:
            raise UserError(_missing(path, number, str(error.args[0]), found)) from None
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


def _missing(path: Path, number: int, field: str, row: dict[str, Any]) -> str:
    """A field that a row lacks: in a table it is the header's fault."""
    if path.suffix not in readers.ONE_HEADER:
        return f"{path} line {number}: field '{field}' is missing; mend that line."
    return f"{path}: there is no column '{field}'; {plugins.nearest(field, [str(name) for name in row])}"


def _reason(error: Exception) -> str:
    """What is wrong with a row, in one line."""
    if isinstance(error, ValidationError):
        return first_error(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON ({error.msg} at column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
