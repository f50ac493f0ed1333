"""Instructions with their answers, in Alpaca's form or self-instruct's: rows of JSON -> examples."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from bench.core.schema import Example, Strict
from bench.data import files


class Columns(Strict):
    """Which fields hold what. `input`, what the instruction is about, may be empty or missing in a row.

    Self-instruct's `instances`, a list of objects with the fields of `input` and `output`, count by their first.
    """

    instruction: str = "instruction"
    input: str = "input"
    output: str = "output"
    instances: str = "instances"
    id: str | None = None


def reader(columns: Columns) -> Callable[[dict[str, Any]], Example | None]:
    """Make the function that makes an example of a row; None of one without an answer, and of the same row again.

    An example's source is the instruction, then what it is about; its reference is the answer. A row at fault raises
    KeyError or ValueError.
    """
    seen = set[str]()

    def read(row: dict[str, Any]) -> Example | None:
        found = _example(row, columns)
        if found is None or (columns.id is None and found.id in seen):
            return None
        seen.add(found.id)
        return found

    return read


def _example(row: dict[str, Any], columns: Columns) -> Example | None:
    held = row
    if columns.output not in row and columns.instances in row:
        instances = row[columns.instances]
        if not (isinstance(instances, list) and instances and isinstance(instances[0], dict)):
            raise ValueError(f"field '{columns.instances}' must hold a list of objects")
        held = instances[0]
    if held[columns.output] in ("", None):
        return None
    instruction, answer = files.text(row, columns.instruction), files.text(held, columns.output)
    about = held.get(columns.input)
    source = f"{instruction}\n\n{files.text(held, columns.input)}" if about not in (None, "") else instruction
    own = hashlib.sha256(source.encode()).hexdigest()[:12]
    name = f"i-{own}" if columns.id is None else files.identity(row, columns.id)
    row_id = name if columns.id is not None else f"{name}-{hashlib.sha256(answer.encode()).hexdigest()[:8]}"
    return Example(id=row_id, dialogue_id=name, source=source, references=(answer,))
