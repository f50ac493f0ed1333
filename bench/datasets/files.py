"""Dialogues of your own: any files of rows, whose columns params.yaml names; the splits from one file where there is but one."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import Field, model_validator

from bench.core import paths
from bench.core.schema import Example, Seed, Strict
from bench.data import files


class Columns(Strict):
    """Which columns hold what. Without `id` a dialogue is called by a digest of its text; `tags` holds words apart by commas."""

    dialogue: str
    references: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    id: str | None = None
    tags: str | None = None


class Parts(Strict):
    """Which shares of the training file's dialogues are kept back for the splits that name that very file.

    A digest of seed and dialogue decides, so one dialogue is never in two splits and more rows move none.
    """

    validation: float = Field(0.1, gt=0, lt=0.5)
    test: float = Field(0.1, gt=0, lt=0.5)
    seed: Seed = 0


class Config(files.FilesConfig):
    """`columns` of all three files, and `parts` where one file serves several splits."""

    columns: Columns
    parts: Parts | None = None

    @model_validator(mode="after")
    def _parts_where_files_are_shared(self) -> Config:
        named = [getattr(self, split).file for split in paths.SPLITS]
        if len(set(named)) < len(named) and self.parts is None:
            raise ValueError("two splits name one file; add 'parts' (such as parts: {validation: 0.1, test: 0.1})")
        if named[1] == named[2] != named[0]:
            raise ValueError("'validation' and 'test' name one file; parts are kept back from the training file alone")
        return self


def load(config: Config) -> dict[str, list[Example]]:
    """Load the three splits. Rows that share a dialogue give it all their references."""
    shared = {split for split in paths.SPLITS if getattr(config, split).file == config.train.file}

    def example(row: dict[str, Any], split: str) -> Example | None:
        source = files.text(row, config.columns.dialogue)
        if config.parts and split in shared and _part(source, config.parts, shared) != split:
            return None
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


def _part(source: str, parts: Parts, shared: set[str]) -> str:
    """The split of a dialogue, by its words alone: white space and case make no other dialogue."""
    text = " ".join(source.split()).lower()
    place = int.from_bytes(hashlib.sha256(f"{parts.seed}\0{text}".encode()).digest()[:8]) / 2**64
    bounds = [(split, getattr(parts, split)) for split in ("test", "validation") if split in shared]
    for split, share in bounds:
        if place < share:
            return split
        place -= share
    return "train"
