"""Several raters' scores of several systems' summaries: per dialogue and dimension, the systems ranked by their mean rating.

The form of DialSummEval (Gao and Wan 2022): a row a dialogue and system, with a list of what each rater gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from bench.core.blocks import PreferencesConfig
from bench.core.schema import Strict, UserError
from bench.data import tables
from bench.rankings import Ranking
from bench.training.context import TrainContext

LEARNS_FROM = "file"


class Columns(Strict):
    """Which columns hold what; `ratings` is a list with one mapping of dimension to number for each rater."""

    dialogue_id: str = "id"
    source: str = "dialogue"
    summary: str = "summary"
    system: str = "model_id"
    ratings: str = "annotations"


class Config(PreferencesConfig):
    """`dimensions` are ranked each by itself. `raters` (from 0) are those that count; all where absent.

    `reference` is the system that is the human reference: its summary is then not ranked, but what others are held against.
    So one block may hold some raters and another the rest: a second reward model that learnt from other people.
    """

    columns: Columns = Columns()
    dimensions: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    reference: str | None = None
    raters: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)] | None = None


def rankings(config: Config, context: TrainContext) -> list[Ranking]:
    """Read and average.

    Raises:
        UserError: a row is not of the form; it names file, line and field.
    """
    path, columns = Path(context.learns_from), config.columns
    dialogues: dict[str, str] = {}
    rated: dict[tuple[str, str], list[tuple[str, str, float]]] = {}
    for row in tables.rows(path):
        number, held = row
        missing = next((name for name in columns.model_dump().values() if name not in held), None)
        if missing is not None:
            raise UserError(
                f"{path} line {number}: there is no column '{missing}'; it has: {', '.join(map(str, held))}."
            )
        dialogue = tables.identity(path, row, columns.dialogue_id)
        dialogues.setdefault(dialogue, tables.text(path, row, columns.source))
        summary, system = tables.text(path, row, columns.summary, empty=True), str(held[columns.system])
        for dimension in config.dimensions:
            mean = _mean(path, number, held[columns.ratings], dimension, config.raters)
            rated.setdefault((dialogue, dimension), []).append((system, summary, mean))
    found = []
    for (dialogue, dimension), systems in rated.items():
        ranked = [one for one in systems if one[0] != config.reference]
        if len(ranked) > 1:
            found.append(
                Ranking(
                    id=f"{dialogue}-{dimension}",
                    dialogue_id=dialogue,
                    source=dialogues[dialogue],
                    summaries=tuple(summary for _, summary, _ in ranked),
                    scores=tuple(mean for _, _, mean in ranked),
                    labels=tuple(system for system, _, _ in ranked),
                    category=dimension,
                    rater="" if config.raters is None else "+".join(map(str, config.raters)),
                    references=tuple(summary for system, summary, _ in systems if system == config.reference),
                )
            )
    return found


def _mean(path: Path, number: int, ratings: Any, dimension: str, raters: tuple[int, ...] | None) -> float:
    """The mean of the raters that count."""
    if not isinstance(ratings, list) or not all(isinstance(one, Mapping) for one in ratings):
        raise UserError(
            f"{path} line {number}: the ratings must be a list with a mapping for each rater; mend that line."
        )
    chosen = range(len(ratings)) if raters is None else raters
    if not ratings:
        raise UserError(f"{path} line {number}: nobody rated; remove that line, or give its ratings.")
    if max(chosen) >= len(ratings):
        raise UserError(
            f"{path} line {number}: {len(ratings)} raters, and rater {max(chosen, default=0)} is asked for; correct 'raters'."
        )
    values = [ratings[rater].get(dimension) for rater in chosen]
    if not all(type(value) in (int, float) for value in values):
        raise UserError(
            f"{path} line {number}: no rating of '{dimension}' by every rater; it has: {', '.join(map(str, ratings[0]))}."
        )
    return float(np.mean(values))
