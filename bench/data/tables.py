"""Texts that lie in files: lines, and tables whose columns are found by their names and whose rows are paired by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.schema import UserError
from bench.data import readers

# What columns are called out there, in any case; the first that a table has counts.
IDS = ("id", "dialogue_id", "fname", "idx", "key")
DIALOGUES = ("dialogue", "source", "document", "article", "conversation", "transcript", "input", "chat", "text")
REFERENCES = ("references", "reference", "target", "abstract", "summary", "highlights", "output")
SUMMARIES = ("summary", "prediction", "output", "generated", "hypothesis", "response", "text")
Row = tuple[int, dict[str, Any]]  # the line that it starts on, and its fields


def rows(path: Path) -> Iterator[Row]:
    """Read the rows of a table as objects.

    Raises:
        UserError: the file is missing or of another format, or a row is no object; it names file and line.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; name a file.")
    for number, row in readers.rows(path):
        try:
            found = row()
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} line {number}: {str(error)[:120]}; mend that line.") from None
        if not isinstance(found, dict):
            raise UserError(f"{path} line {number}: not an object with fields; mend that line.")
        yield number, found


def lines(path: Path) -> list[str]:
    """Read the lines of a text file; one at its very end that is empty is none.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        found = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8.") from None
    return [line.strip() for line in (found[:-1] if found[-1] == "" else found)]


def known(row: Mapping[str, Any], usual: Sequence[str]) -> str | None:
    """Return the column with the first of the usual names that there is, None where there is none."""
    called = {str(name).lower(): str(name) for name in row}
    return next((called[name] for name in usual if name in called), None)


def needed(path: Path, at: Row, usual: Sequence[str], asked: str | None, what: str, fix: str) -> str:
    """Return the column asked for, or the one with a usual name.

    Raises:
        UserError: there is none; the sentence names those that are there and ends with `fix`.
    """
    number, row = at
    if asked is not None and asked not in row:
        raise UserError(f"{path} line {number}: there is no column '{asked}'; it has: {', '.join(map(str, row))}.")
    name = asked or known(row, usual)
    if name is None:
        raise UserError(
            f"{path} line {number}: none of the columns {', '.join(map(str, row))} is known to hold the {what}; {fix}."
        )
    return name


def identity(path: Path, at: Row, key: str) -> str:
    """Return what a row is called: text, or a whole number as text."""
    value = at[1].get(key)
    return str(value) if type(value) is int else text(path, at, key)


def text(path: Path, at: Row, key: str, empty: bool = False) -> str:
    """Return the text of a field, without the white space round it; nothing where it may be `empty`.

    Raises:
        UserError: it holds something else; it names file, line and field.
    """
    value = at[1].get(key)
    if not isinstance(value, str) or not (empty or value.strip()):
        raise UserError(f"{path} line {at[0]}: field '{key}' must hold text; mend that line.")
    return value.strip()


def matched(
    path: Path, given: Iterable[tuple[int, str, str]], wanted: Mapping[str, str], what: str, fix: str
) -> dict[str, str]:
    """Return the text of everything wanted, from (line, name, text) in any order; several names may stand for one thing.

    Raises:
        UserError: a text is missing, stands twice or is of nothing wanted; `what` names the wanted, `fix` how to leave some out.
    """
    found: dict[str, str] = {}
    for number, name, words in given:
        if name not in wanted:
            raise UserError(f"{path} line {number}: {what} hold no '{name:.80}'; remove the line, or name it as there.")
        if wanted[name] in found:
            raise UserError(f"{path} line {number}: a second summary of '{name:.80}'; keep one of them.")
        found[wanted[name]] = words
    all_wanted = list(dict.fromkeys(wanted.values()))
    missing = [one for one in all_wanted if one not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(all_wanted)} {what} have no summary, the first is '{missing[0]}'; add them, or {fix}."
        )
    return found
