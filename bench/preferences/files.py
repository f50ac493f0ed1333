"""Preferences that stand in a file: chosen and rejected, ranked lists, or pairwise wins; JSONL, JSON, CSV, TSV or Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from bench.core.blocks import PreferencesConfig
from bench.core.schema import Strict, UserError, first_error
from bench.data import tables
from bench.rankings import Ranking
from bench.training.context import TrainContext

LEARNS_FROM = "file"


class Columns(Strict):
    """Which columns hold what. Exactly one of the three forms is named:

    `chosen` and `rejected`; `summaries` (a list) with its `scores` (higher is better) or `ranks` (1 is the best); or
    `first`, `second` and `winner` (`first`, `second` or `tie`). Without `dialogue_id` a dialogue is known by its text.
    """

    source: str = "source"
    dialogue_id: str | None = None
    category: str | None = None
    rater: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    summaries: str | None = None
    scores: str | None = None
    ranks: str | None = None
    first: str | None = None
    second: str | None = None
    winner: str | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Columns:
        forms = {
            "chosen and rejected": (self.chosen, self.rejected),
            "summaries and scores": (self.summaries, self.scores),
            "summaries and ranks": (self.summaries, self.ranks),
            "first, second and winner": (self.first, self.second, self.winner),
        }
        whole = [name for name, parts in forms.items() if all(parts)]
        named = {key for parts in forms.values() for key in parts if key}
        if len(whole) != 1 or named != {key for key in forms[whole[0]] if key}:
            raise ValueError(f"name the columns of one form: {'; '.join(forms)}")
        return self


class Config(PreferencesConfig):
    """`columns` of the file that `learns_from` names."""

    columns: Columns = Field(default_factory=lambda: Columns(chosen="chosen", rejected="rejected"))


def rankings(config: Config, context: TrainContext) -> list[Ranking]:
    """Read them.

    Raises:
        UserError: a row is not of the form; it names file, line and field.
    """
    path = Path(context.learns_from)
    return [_ranking(path, row, config.columns) for row in tables.rows(path)]


def _ranking(path: Path, row: tables.Row, columns: Columns) -> Ranking:
    number, held = row
    missing = next((name for name in columns.model_dump(exclude_none=True).values() if name not in held), None)
    if missing is not None:
        raise UserError(f"{path} line {number}: there is no column '{missing}'; it has: {', '.join(map(str, held))}.")
    source = tables.text(path, row, columns.source)
    summaries, scores = _judged(path, row, columns)
    dialogue = tables.identity(path, row, columns.dialogue_id) if columns.dialogue_id else _digest(source)
    try:
        return Ranking(
            id=f"{dialogue}-{number}",
            dialogue_id=dialogue,
            source=source,
            summaries=tuple(summaries),
            scores=tuple(scores),
            category=str(held[columns.category]) if columns.category else "",
            rater=str(held[columns.rater]) if columns.rater else "",
        )
    except ValidationError as error:
        raise UserError(f"{path} line {number}: {first_error(error)}; mend that line.") from None


def _judged(path: Path, row: tables.Row, columns: Columns) -> tuple[list[str], list[float]]:
    """The summaries of a row with a score each, higher better."""
    number, held = row
    if columns.chosen and columns.rejected:
        return [tables.text(path, row, name, empty=True) for name in (columns.chosen, columns.rejected)], [1.0, 0.0]
    if columns.first and columns.second and columns.winner:
        won: Mapping[str, list[float]] = {"first": [1.0, 0.0], "second": [0.0, 1.0], "tie": [0.0, 0.0]}
        if held[columns.winner] not in won:
            raise UserError(
                f"{path} line {number}: field '{columns.winner}' must be first, second or tie, got "
                f"{held[columns.winner]!r:.40}; mend that line."
            )
        return [tables.text(path, row, name, empty=True) for name in (columns.first, columns.second)], won[
            held[columns.winner]
        ]
    field = str(columns.scores or columns.ranks)
    texts, numbers = held[str(columns.summaries)], held[field]
    if not _list_of(texts, str) or not _list_of(numbers, int, float):
        raise UserError(
            f"{path} line {number}: '{columns.summaries}' must be a list of texts and '{field}' one of numbers; mend that line."
        )
    return [text.strip() for text in texts], [float(value) if columns.scores else -float(value) for value in numbers]


def _list_of(value: Any, *kinds: type) -> bool:
    return isinstance(value, list) and all(type(one) in kinds for one in value)


def _digest(source: str) -> str:
    return f"d-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
