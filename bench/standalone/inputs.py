"""References and summaries from files of any of the formats, or as texts; their columns are found by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.core.schema import Example, UserError, first_error
from bench.data import readers

Texts = str | Path | Sequence[str]  # a file, or the summaries in the order of the references
Given = str | Path | Sequence[str] | Sequence[Sequence[str]]
NO_DIALOGUE = "-"
TEXT_FILES = (".txt", "")
# What columns are called out there, the first that is there counts.
IDS = ("id", "dialogue_id", "fname", "idx", "key")
DIALOGUES = ("dialogue", "source", "document", "article", "conversation", "transcript", "input")
REFERENCES = ("references", "reference", "target", "abstract", "summary", "highlights")
SUMMARIES = ("summary", "prediction", "output", "generated", "hypothesis", "response", "text")


@dataclass(frozen=True)
class Columns:
    """The names of columns, where they are others than usual: of the files of summaries `id` and `summary`, of the
    references `id`, `reference` and `dialogue`."""

    id: str | None = None
    summary: str | None = None
    reference: str | None = None
    dialogue: str | None = None

    @staticmethod
    def names() -> list[str]:
        """List what can be named."""
        return [field.name for field in fields(Columns)]


def read_references(given: Given, columns: Columns) -> list[Example]:
    """Read the references: an example each, with the dialogue where the file has it, else `NO_DIALOGUE`.

    Raises:
        UserError: the file is missing or a row of it is wrong; it names file, line and field.
    """
    if not isinstance(given, str | Path):
        texts = [[one] if isinstance(one, str) else list(one) for one in given]
        return [_example("references", k, str(k), NO_DIALOGUE, some) for k, some in enumerate(texts, 1)]
    path = _existing(Path(given))
    if path.suffix in TEXT_FILES:
        return [_example(str(path), k, str(k), NO_DIALOGUE, [text]) for k, text in enumerate(_lines(path), 1)]
    examples, places = [], dict[str, int]()
    for number, row in _rows(path):
        name = _name(path, number, row, columns.id)
        if name in places:
            raise UserError(f"{path} line {number}: the id '{name:.80}' stands in line {places[name]} too; keep one.")
        places[name] = number
        dialogue = _found(path, row, DIALOGUES, columns.dialogue, "dialogue", needed=False)
        source = NO_DIALOGUE if dialogue is None else _text(path, number, row, dialogue)
        examples.append(_example(str(path), number, name, source, _references(path, number, row, columns)))
    if not examples:
        raise UserError(f"{path} holds no row; give a file with a reference a row.")
    return examples


def read_systems(
    systems: Mapping[str, Texts] | Sequence[str | Path], examples: Sequence[Example], columns: Columns
) -> dict[str, list[str]]:
    """Read each system's summaries, in the order of the references.

    Raises:
        UserError: a summary lacks, stands twice or belongs to no reference, or two files would have one name.
    """
    if isinstance(systems, Mapping):
        named = dict(systems)
    else:
        stems = [Path(path).stem for path in systems]
        names = [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, systems, strict=True)]
        named = dict(zip(names, systems, strict=True))
        if len(named) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{doubled} is named twice; name each file of summaries once.")
    if not named:
        raise UserError("no system is given; name a file of summaries.")
    return {name: _summaries(name, texts, examples, columns) for name, texts in named.items()}


def _summaries(name: str, given: Texts, examples: Sequence[Example], columns: Columns) -> list[str]:
    if not isinstance(given, str | Path):
        return _counted(f"system '{name}'", list(given), examples)
    path = _existing(Path(given))
    if path.suffix in TEXT_FILES:
        return _counted(str(path), [line.strip() for line in _lines(path)], examples)
    rows = list(_rows(path))
    if not rows:
        raise UserError(f"{path} holds no row; give a file with a summary a row.")
    key = _found(path, rows[0][1], SUMMARIES, columns.summary, "summary")
    texts = [_text(path, number, row, str(key), empty=True) for number, row in rows]
    if _found(path, rows[0][1], IDS, columns.id, "id", needed=False) is None:
        return _counted(str(path), texts, examples)
    known, found = {example.id for example in examples}, dict[str, str]()
    for (number, row), text in zip(rows, texts, strict=True):
        own = _name(path, number, row, columns.id)
        if own not in known:
            raise UserError(f"{path} line {number}: no reference has the id '{own:.80}'; remove the line, or add one.")
        if own in found:
            raise UserError(f"{path} line {number}: a second summary of '{own:.80}'; keep one of them.")
        found[own] = text
    missing = [example.id for example in examples if example.id not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(examples)} references have no summary, the first is '{missing[0]}'; add them, "
            "or leave those references out."
        )
    return [found[example.id] for example in examples]


def _counted(where: str, texts: list[str], examples: Sequence[Example]) -> list[str]:
    """Texts without ids go by their order, so there must be as many as references."""
    if len(texts) != len(examples):
        raise UserError(
            f"{where}: {len(texts)} summaries, and there are {len(examples)} references; give one each in their order, or "
            "a table with ids."
        )
    return texts


def _references(path: Path, number: int, row: dict[str, Any], columns: Columns) -> list[str]:
    """One column of one text or a list of texts, or several of one name with a number: `summary1`, `summary2`."""
    asked = columns.reference
    stems = (asked,) if asked is not None else REFERENCES
    for stem in stems:
        several = [key for key in row if re.fullmatch(rf"{re.escape(stem)}_?\d+", key)]
        if stem in row and isinstance(row[stem], list):
            texts = [text for text in row[stem] if isinstance(text, str)]
            if len(texts) < len(row[stem]) or not texts:
                raise UserError(f"{path} line {number}: field '{stem}': must be a list of texts; mend that line.")
            return texts
        if stem in row or several:
            keys = several if stem not in row else [stem]
            return [_text(path, number, row, key) for key in keys]
    _found(path, row, REFERENCES, asked, "reference")  # which says what is there
    raise AssertionError("unreachable")


def _found(
    path: Path, row: dict[str, Any], usual: Sequence[str], asked: str | None, what: str, needed: bool = True
) -> str | None:
    """The column that holds something: the one asked for, or the first of the usual names."""
    if asked is not None and asked not in row:
        raise UserError(f"{path}: there is no column '{asked}'; it has: {', '.join(map(str, row))}.")
    name = asked or next((name for name in usual if name in row), None)
    if name is None and needed:
        raise UserError(
            f"{path}: none of the columns {', '.join(map(str, row))} is called {', '.join(usual)}; say which holds the {what} "
            f"with --columns {what}=NAME."
        )
    return name


def _name(path: Path, number: int, row: dict[str, Any], asked: str | None) -> str:
    """The id of a row; its number where there is no column of ids."""
    key = _found(path, row, IDS, asked, "id", needed=False)
    if key is None:
        return str(number)
    value = row.get(key)
    return str(value) if type(value) is int else _text(path, number, row, key)


def _text(path: Path, number: int, row: dict[str, Any], key: str, empty: bool = False) -> str:
    value = row.get(key)
    if empty and value is None:
        return ""
    if not isinstance(value, str) or not (empty or value.strip()):
        raise UserError(f"{path} line {number}: field '{key}' must hold text; mend that line.")
    return value.strip()


def _example(where: str, number: int, name: str, source: str, references: Sequence[str]) -> Example:
    try:
        return Example(id=name, dialogue_id=name, source=source, references=tuple(references))
    except ValidationError as error:
        raise UserError(f"{where} line {number}: {first_error(error)}; mend that line.") from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    row: Callable[[], Any]
    for number, row in readers.rows(path):
        try:
            found = row()
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} line {number}: {str(error)[:120]}; mend that line.") from None
        if not isinstance(found, dict):
            raise UserError(f"{path} line {number}: not an object with fields; mend that line.")
        yield number, found


def _lines(path: Path) -> list[str]:
    """The lines of a text file; one at its very end that is empty is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8.") from None
    return lines[:-1] if lines[-1] == "" else lines


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a file.")
    return path
