"""The rows of a JSONL, JSON, CSV, TSV or Parquet file, in order. Nothing that such a file holds can run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.schema import UserError

# The line that a row starts on (in Parquet its number, from 1) and a function that parses it, or raises ValueError.
Rows = Iterator[tuple[int, Callable[[], Any]]]

LONGEST = 2**31 - 1  # characters of a cell: how long a text may be is the study's to say


def rows(path: Path) -> Rows:
    """Return the rows of a file, read by its name's ending.

    Raises:
        UserError: the ending is none of those, or the file as a whole is not of that format.
    """
    if path.suffix not in READERS:
        raise UserError(f"{path}: there is no reader for '{path.suffix}'; name one of: {', '.join(READERS)}.")
    return READERS[path.suffix](path)


def _jsonl(path: Path) -> Rows:
    """Blank lines at the end are none; one between rows may be a row that was lost, and is no JSON."""
    blank: list[int] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                blank.append(number)
                continue
            for lost in blank:
                yield lost, partial(_json, b"", lost)
            blank = []
            yield number, partial(_json, line, number)


def _json(line: bytes, number: int) -> Any:
    """The value in a line; the first line may start with a byte order mark."""
    return json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))


def _json_list(path: Path) -> Rows:
    """A file that is one list of objects, as SAMSum was released."""
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise UserError(f"{path}: not JSON in UTF-8 ({reason:.120}); save the file again.") from None
    if not isinstance(found, list):
        raise UserError(f"{path}: must hold a list of objects; an object a line is a .jsonl file.")
    for number, row in enumerate(found, 1):
        yield number, partial(_same, row)


def _same(row: Any) -> Any:
    return row


def _csv(path: Path, delimiter: str = ",") -> Rows:
    with _long_cells(), path.open(encoding="utf-8-sig", newline="") as file:  # a text may hold line breaks
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        start = 1
        try:
            header = next(reader, [])
            start = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield start, partial(_row, header, cells)
                start = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(
                f"{path} line {start}: not {path.suffix[1:].upper()} in UTF-8 ({error}); save the file again."
            ) from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as a meeting: Python's reader stops at 131,072 characters, and has one limit for everybody."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _row(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} fields under a header of {len(header)}")
    return dict(zip(header, cells, strict=True))


def _parquet(path: Path) -> Rows:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not Parquet ({str(error).splitlines()[0]}); fetch or save the file again.") from None
    for number, row in enumerate(table, 1):
        yield number, partial(dict, row)


READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _jsonl,
    ".json": _json_list,
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".parquet": _parquet,
}
ONE_HEADER = (".csv", ".tsv", ".parquet")  # a column that is missing in one row is missing in all
