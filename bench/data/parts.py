"""Splits from one file: which share of its dialogues is kept back for validation and test."""

from __future__ import annotations

import hashlib

from pydantic import Field

from bench.core import paths
from bench.core.schema import Seed, Strict
from bench.data.files import FilesConfig


class Parts(Strict):
    """Which shares of the training file's dialogues are kept back for the splits that name that very file.

    A digest of seed and dialogue decides, so one dialogue is never in two splits and more rows move none.
    """

    validation: float = Field(0.1, gt=0, lt=0.5)
    test: float = Field(0.1, gt=0, lt=0.5)
    seed: Seed = 0


class PartsConfig(FilesConfig):
    """Base of the Config of a dataset whose splits may name one file: then `parts` shares it out."""

    parts: Parts | None = None

    def check_splits(self) -> None:
        """Raise ValueError where one file serves several splits and nothing says which share of it each is."""
        named = [getattr(self, split).file for split in paths.SPLITS]
        if len(set(named)) < len(named) and self.parts is None:
            raise ValueError("two splits name one file; add 'parts' (such as parts: {validation: 0.1, test: 0.1})")
        if named[1] == named[2] != named[0]:
            raise ValueError("'validation' and 'test' name one file; parts are kept back from the training file alone")

    def holds(self, split: str, source: str) -> bool:
        """Say whether a dialogue of a split's file belongs to that split."""
        shared = {each for each in paths.SPLITS if getattr(self, each).file == self.train.file}
        return self.parts is None or split not in shared or _part(source, self.parts, shared) == split


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
