"""The rows of a JSONL, CSV or Parquet file, in order. Nothing that such a file holds can run."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.core.schema import UserError

# The line that a row starts on (in Parquet its number, from 1) and a function that parses it, or raises ValueError.
Rows = Iterator[tuple[int, Callable[[], Any]]]


def rows(path: Path) -> Rows:
    """Return the rows of a file, read by its name's ending.

    Raises:
        UserError: the ending is none of those, or the file as a whole is not of that format.
    """
    if path.suffix not in READERS:
        raise UserError(f"{path}: there is no reader for '{path.suffix}'; name one of: {', '.join(READERS)}.")
    return READERS[path.suffix](path)


def _jsonl(path: Path) -> Rows:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield number, partial(_json, line, number)


def _json(line: bytes, number: int) -> Any:
    """The value in a line; the first line may start with a byte order mark."""
    return json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))


def _csv(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:  # a text may hold line breaks
        reader = csv.reader(file, strict=True)
        start = 1
        try:
            header = next(reader, [])
            start = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield start, partial(_row, header, cells)
                start = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} line {start}: not CSV in UTF-8 ({error}); save the file again.") from None


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


READERS: dict[str, Callable[[Path], Rows]] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
