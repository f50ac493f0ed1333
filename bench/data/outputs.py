"""Summaries that another system wrote: one a test dialogue, from a text file or a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core import paths
from bench.core.schema import Example, Prediction, UserError
from bench.data import tables


def predictions(path: Path, examples: Sequence[Example]) -> list[Prediction]:
    """Read the summaries as a variant's greedy ones."""
    return [
        Prediction(id=one.id, dialogue_id=one.dialogue_id, output="greedy", draw=0, text=text)
        for one, text in zip(examples, read(path, examples), strict=True)
    ]


def read(path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the summary of each example, in their order.

    A `.txt` holds one summary a line, in the order of the test split. A table (JSONL, JSON, CSV, TSV, Parquet) has
    a column with the example's id or dialogue and one with its summary; its order does not matter.

    Raises:
        UserError: a summary is missing, stands twice, or is of no test dialogue; it names file, line and field.
    """
    if not path.is_file():
        raise UserError(
            f"{path} does not exist; put the file of summaries there, or correct the path in params.yaml{paths.in_an_experiment(absolute=False)}."
        )
    return _lines(path, examples) if path.suffix == ".txt" else _table(path, examples)


def _lines(path: Path, examples: Sequence[Example]) -> list[str]:
    lines = tables.lines(path)
    if len(lines) != len(examples):
        raise UserError(
            f"{path}: {len(lines)} lines, and {paths.split_path('test')} holds {len(examples)} dialogues; give one summary "
            "a line in that order, or a .jsonl with the fields id and summary."
        )
    return lines


def _table(path: Path, examples: Sequence[Example]) -> list[str]:
    named = {name: example.id for example in examples for name in (example.dialogue_id, example.id)}
    given, fix = list[tuple[int, str, str]](), "give the fields id and summary"
    for row in tables.rows(path):
        key = tables.needed(path, row, tables.IDS, None, "id", fix)
        field = tables.needed(path, row, tables.SUMMARIES, None, "summary", fix)
        given.append((row[0], tables.identity(path, row, key), tables.text(path, row, field, empty=True)))
    what, fix = f"dialogues of {paths.split_path('test')}", "leave those dialogues out of data.test"
    found = tables.matched(path, given, named, what, fix)
    return [found[example.id] for example in examples]
