"""References and summaries from files of any of the formats, or as texts; their columns are found by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import ValidationError

from bench.core.schema import Example, UserError, first_error
from bench.data import tables

Texts = str | Path | Sequence[str]  # a file, or the summaries in the order of the references
Given = str | Path | Sequence[str] | Sequence[Sequence[str]]
NO_DIALOGUE = "-"
TEXT_FILES = (".txt", "")
# `text` may be what a dialogue is called where nothing else is there; beside references it says too little.
DIALOGUES = tuple(name for name in tables.DIALOGUES if name != "text")


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
        return [_example(str(path), k, str(k), NO_DIALOGUE, [text]) for k, text in enumerate(tables.lines(path), 1)]
    examples, places = [], dict[str, int]()
    for number, row in tables.rows(path):
        key = _optional(path, (number, row), tables.IDS, columns.id)
        name = str(number) if key is None else tables.identity(path, (number, row), key)
        if name in places:
            raise UserError(f"{path} line {number}: the id '{name:.80}' stands in line {places[name]} too; keep one.")
        places[name] = number
        dialogue = _optional(path, (number, row), DIALOGUES, columns.dialogue)
        source = NO_DIALOGUE if dialogue is None else tables.text(path, (number, row), dialogue)
        examples.append(_example(str(path), number, name, source, _references(path, (number, row), columns)))
    if not examples:
        raise UserError(f"{path} holds no row; give a file with a reference a row.")
    return examples


def read_systems(
    systems: Mapping[str, Texts] | Sequence[str | Path] | str | Path, examples: Sequence[Example], columns: Columns
) -> dict[str, list[str]]:
    """Read each system's summaries, in the order of the references.

    Raises:
        UserError: a summary lacks, stands twice or belongs to no reference, or two files would have one name.
    """
    if isinstance(systems, Mapping):
        named = dict(systems)
    else:
        files = [systems] if isinstance(systems, str | Path) else systems
        stems = [Path(path).stem for path in files]
        names = [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, files, strict=True)]
        named = dict(zip(names, files, strict=True))
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
        return _counted(str(path), tables.lines(path), examples)
    rows = list(tables.rows(path))
    if not rows:
        raise UserError(f"{path} holds no row; give a file with a summary a row.")
    key = tables.needed(path, rows[0], tables.SUMMARIES, columns.summary, "summary", _say("summary"))
    texts = [tables.text(path, row, key, empty=True) for row in rows]
    own = _optional(path, rows[0], tables.IDS, columns.id)
    if own is None:
        return _counted(str(path), texts, examples)
    paired = [(row[0], tables.identity(path, row, own), text) for row, text in zip(rows, texts, strict=True)]
    wanted = {example.id: example.id for example in examples}
    found = tables.matched(path, paired, wanted, "references", "leave those references out")
    return [found[example.id] for example in examples]


def _counted(where: str, texts: list[str], examples: Sequence[Example]) -> list[str]:
    """Texts without ids go by their order, so there must be as many as references."""
    if len(texts) != len(examples):
        raise UserError(
            f"{where}: {len(texts)} summaries, and there are {len(examples)} references; give one each in their order, or "
            "a table with ids."
        )
    return texts


def _references(path: Path, at: tables.Row, columns: Columns) -> list[str]:
    """One column of one text or a list of texts, or several of one name with a number: `summary1`, `summary2`."""
    number, row = at
    for stem in (columns.reference,) if columns.reference is not None else tables.REFERENCES:
        several = [key for key in row if re.fullmatch(rf"{re.escape(stem)}_?\d+", key)]
        if stem in row and isinstance(row[stem], list):
            texts = [text for text in row[stem] if isinstance(text, str)]
            if len(texts) < len(row[stem]) or not texts:
                raise UserError(f"{path} line {number}: field '{stem}': must be a list of texts; mend that line.")
            return texts
        if stem in row or several:
            return [tables.text(path, at, key) for key in (several if stem not in row else [stem])]
    key = tables.needed(path, at, tables.REFERENCES, columns.reference, "reference", _say("reference"))
    return [tables.text(path, at, key)]


def _optional(path: Path, at: tables.Row, usual: Sequence[str], asked: str | None) -> str | None:
    """The column asked for, or one with a usual name; None where there is none."""
    return tables.needed(path, at, usual, asked, "", "") if asked is not None else tables.known(at[1], usual)


def _say(what: str) -> str:
    return f"say which with --columns {what}=NAME"


def _example(where: str, number: int, name: str, source: str, references: Sequence[str]) -> Example:
    try:
        return Example(id=name, dialogue_id=name, source=source, references=tuple(references))
    except ValidationError as error:
        raise UserError(f"{where} line {number}: {first_error(error)}; mend that line.") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a file.")
    return path
