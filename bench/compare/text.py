"""JSON, YAML and CSV from bytes, every mistake in them one sentence."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML, YAMLError

from bench.compare.sources import NotComparable


def decode(content: bytes, where: str) -> str:
    """UTF-8 text."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotComparable(f"{where} is not UTF-8 text ({error.reason} at byte {error.start}); restore it.") from None


def mapping(value: Any, where: str) -> dict[str, Any]:
    """`value` if it is a mapping."""
    if not isinstance(value, dict):
        raise NotComparable(f"{where} is missing or no mapping; run `dvc repro` to write it again.")
    return value


def parse_json(content: bytes, where: str) -> dict[str, Any]:
    """A JSON object; NaN and infinities, which are no JSON, are refused."""

    def refuse(word: str) -> Any:
        raise NotComparable(f"{where} holds {word}, which is no number to compare; run `dvc repro` to write it again.")

    try:
        value = json.loads(decode(content, where), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise NotComparable(f"{where} is not valid JSON ({error}); restore it or run `dvc repro`.") from None
    return mapping(value, where)


def yaml(content: bytes, where: str) -> dict[str, Any]:
    """A YAML 1.2 mapping, read as DVC does; not to be changed, for it is kept."""
    try:
        value = _loaded(decode(content, where))
    except (YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise NotComparable(f"{where} is not valid YAML ({problem}); restore it.") from None
    return mapping(value, where)


@lru_cache(maxsize=8)
def _loaded(text: str) -> Any:
    """Both states often have the same params.yaml and dvc.lock, and reading them is the slowest part of a gate."""
    return YAML(typ="safe", pure=True).load(text)


def table(content: bytes, where: str, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The line number and the fields of every row of a CSV file that has the `needed` columns."""
    reader = csv.reader(io.StringIO(decode(content, where), newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in needed if name not in header]
        if missing or len(set(header)) != len(header):
            raise NotComparable(f"{where}: the header lacks '{missing[0]}'; run `dvc repro` to write it again." if missing
                                else f"{where}: the header names a column twice; run `dvc repro` to write it again.")  # fmt: skip
        for fields in reader:
            if len(fields) != len(header):
                raise NotComparable(
                    f"{where} line {reader.line_num}: {len(fields)} fields instead of {len(header)}; restore the file."
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise NotComparable(f"{where} line {reader.line_num} is not valid CSV ({error}); restore the file.") from None


def number(text: str, where: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        raise NotComparable(f"{where}: '{text:.40}' is no number; run `dvc repro` to write it again.") from None
    if not math.isfinite(value):
        raise NotComparable(f"{where}: '{text}' is no finite number; run `dvc repro` to write it again.")
    return value
