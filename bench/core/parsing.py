"""JSON, YAML and CSV from bytes. Every mistake is one sentence that names the file (`where`) and what to do (`fix`)."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML, YAMLError

from bench.core.schema import UserError

AGAIN = "restore it or run `dvc repro`"


def decode(content: bytes, where: str, fix: str = "save it as UTF-8") -> str:
    """Decode UTF-8 text.

    Raises:
        UserError: it is something else.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text ({error.reason} at byte {error.start}); {fix}.") from None


def parse_json(content: bytes, where: str, fix: str = AGAIN) -> Any:
    """Parse JSON. NaN, infinities and numbers too large for a float are none, and half a surrogate pair is no text.

    Raises:
        UserError: it is not valid.
    """
    text = decode(content, where, fix)
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if "\\ud" in text.lower():  # half a surrogate pair could be read and never be written again
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not valid JSON ({error}); {fix}.") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def parse_object(content: bytes, where: str, fix: str = AGAIN) -> dict[str, Any]:
    """Parse a JSON object."""
    return mapping(parse_json(content, where, fix), where, "must hold a JSON object", fix)


def parse_yaml(content: bytes, where: str, fix: str = AGAIN) -> dict[str, Any]:
    """Parse a YAML 1.2 mapping, read as DVC does (`1e-3` is a number).

    Raises:
        UserError: it is not valid, or no mapping.
    """
    try:
        value = copy.deepcopy(_loaded(decode(content, where, fix)))
    except RecursionError:
        raise UserError(f"{where} is not valid YAML: it is nested too deeply; {fix}.") from None
    except (YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # ruamel makes numbers and dates as they come and lets whatever Python says of them through.
        problem = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{where} is not valid YAML: {problem}; {fix}.") from None
    return mapping(value, where, f"must hold a mapping of blocks, and holds {type(value).__name__}", fix)


@lru_cache(maxsize=8)
def _loaded(text: str) -> Any:
    """Both states of a comparison often have the same files, and reading them is the slowest part of a gate."""
    return YAML(typ="safe", pure=True).load(text)


def mapping(value: Any, where: str, problem: str = "is missing or no mapping", fix: str = AGAIN) -> dict[str, Any]:
    """Return `value` if it is a mapping.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} {problem}; {fix}.")
    return value


def parse_csv(
    content: bytes, where: str, needed: tuple[str, ...], fix: str = AGAIN
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the fields of every row of a CSV file that has the `needed` columns.

    Raises:
        UserError: it is no CSV, lacks a column, or a row has another number of fields than the header.
    """
    reader = csv.reader(io.StringIO(decode(content, where, fix), newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [name for name in needed if name not in header]
        if missing:
            raise UserError(f"{where}: the header lacks '{missing[0]}'; {fix}.")
        if len(set(header)) != len(header):
            raise UserError(f"{where}: the header names a column twice; {fix}.")
        for fields in reader:
            if len(fields) != len(header):
                raise UserError(
                    f"{where} line {reader.line_num}: {len(fields)} fields instead of {len(header)}; {fix}."
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise UserError(f"{where} line {reader.line_num} is not valid CSV ({error}); {fix}.") from None


def parse_number(text: str, where: str, fix: str = AGAIN) -> float:
    """Parse a finite number.

    Raises:
        UserError: it is none.
    """
    try:
        return _finite(text)
    except ValueError:
        raise UserError(f"{where}: '{text:.40}' is no finite number; {fix}.") from None
