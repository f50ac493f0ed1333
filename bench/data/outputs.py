"""Summaries that another system wrote: one a test dialogue, from a text file or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core import paths
from bench.core.schema import Example, Prediction, UserError
from bench.data import readers

IDS = ("id", "dialogue_id", "fname")
SUMMARIES = ("summary", "output", "prediction", "text")


def predictions(path: Path, examples: Sequence[Example]) -> list[Prediction]:
    """Read the summaries as a variant's greedy ones."""
    return [
        Prediction(id=one.id, dialogue_id=one.dialogue_id, output="greedy", draw=0, text=text)
        for one, text in zip(examples, read(path, examples), strict=True)
    ]


def read(path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the summary of each example, in their order.

    A `.txt` holds one summary a line, in the order of the test split. A table (JSONL, JSON, CSV, TSV, Parquet) has a field of `IDS`
    with the example's id or dialogue and one of `SUMMARIES`; its order does not matter.

    Raises:
        UserError: a summary is missing, stands twice, or is of no test dialogue; it names file, line and field.
    """
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; put the file of summaries there, or correct the path in params.yaml{paths.in_an_experiment()}."
        )
    return _lines(path, examples) if path.suffix == ".txt" else _table(path, examples)


def _lines(path: Path, examples: Sequence[Example]) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}); save the file as UTF-8.") from None
    if lines[-1] == "":
        lines.pop()
    if len(lines) != len(examples):
        raise UserError(
            f"{path}: {len(lines)} lines, and {paths.split_path('test')} holds {len(examples)} dialogues; give one summary "
            "a line in that order, or a .jsonl with the fields id and summary."
        )
    return [line.strip() for line in lines]


def _table(path: Path, examples: Sequence[Example]) -> list[str]:
    known = {name: example.id for example in examples for name in (example.dialogue_id, example.id)}
    found: dict[str, str] = {}
    for number, row in readers.rows(path):
        try:
            parsed = row()
            if not isinstance(parsed, dict):
                raise ValueError("not a JSON object")
            name, text = _field(parsed, IDS, whole_numbers=True), _field(parsed, SUMMARIES)
        except ValueError as error:
            raise UserError(f"{path} line {number}: {error}; mend that line.") from None
        if name not in known:
            raise UserError(
                f"{path} line {number}: {paths.split_path('test')} holds no '{name:.80}'; remove the line, or name the "
                "dialogue as the test split does."
            )
        if known[name] in found:
            raise UserError(f"{path} line {number}: a second summary of '{name}'; keep one of them.")
        found[known[name]] = text.strip()
    missing = [example.id for example in examples if example.id not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(examples)} test dialogues have no summary, the first is '{missing[0]}'; "
            "add them, or leave those dialogues out of data.test."
        )
    return [found[example.id] for example in examples]


def _field(row: dict[str, Any], names: Sequence[str], whole_numbers: bool = False) -> str:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise ValueError(f"none of the fields {', '.join(names)}")
    if whole_numbers and type(row[name]) is int:
        return str(row[name])
    if not isinstance(row[name], str):
        raise ValueError(f"field '{name}' must hold text")
    return str(row[name])
