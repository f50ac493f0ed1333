"""Dialogues of your own: any files of rows, whose columns params.yaml names; the splits from one file where there is but one."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import Field

from bench.core.schema import Example, Strict
from bench.data import files


class Columns(Strict):
    """Which columns hold what. Without `id` a dialogue is called by a digest of its text; `tags` holds words apart by commas.

    No references, `[]`, are for `evaluate_on`: prompts without a right answer.
    """

    dialogue: str
    references: Annotated[tuple[str, ...], Field(strict=False)]
    id: str | None = None
    tags: str | None = None


class Config(files.FilesConfig):
    """`columns` of all three files."""

    columns: Columns


def load(config: Config) -> dict[str, list[Example]]:
    """Load the three splits. Rows that share a dialogue give it all their references."""

    def example(row: dict[str, Any], split: str) -> Example | None:
        source = files.text(row, config.columns.dialogue)
        references = tuple(files.text(row, name) for name in config.columns.references)
        own = hashlib.sha256(source.encode()).hexdigest()[:12]
        named = f"d-{own}" if config.columns.id is None else files.identity(row, config.columns.id)
        words = str(row.get(config.columns.tags) or "") if config.columns.tags else ""
        tags = tuple(sorted({word.strip() for word in words.split(",") if word.strip()}))
        row_id = named
        if config.columns.id is None:  # another reference of the same dialogue is another row
            row_id = f"{named}-{hashlib.sha256(repr(references).encode()).hexdigest()[:8]}"
        return Example(id=row_id, dialogue_id=named, source=source, references=references, tags=tags)

    return files.load(config, example)
