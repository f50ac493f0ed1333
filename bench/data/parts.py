"""Splits from one file: which share of its dialogues is kept back for validation and test."""

from __future__ import annotations

import hashlib

from pydantic import Field

from bench.core.schema import Seed, Strict


class Parts(Strict):
    """Which shares of the training file's dialogues are kept back for the splits that name that very file.

    A digest of seed and dialogue decides, so one dialogue is never in two splits and more rows move none.
    """

    validation: float = Field(0.1, gt=0, lt=0.5)
    test: float = Field(0.1, gt=0, lt=0.5)
    seed: Seed = 0

    def split_of(self, source: str, shared: set[str]) -> str:
        """Return the split of a dialogue, by its words alone: white space and case make no other dialogue."""
        text = " ".join(source.split()).lower()
        place = int.from_bytes(hashlib.sha256(f"{self.seed}\0{text}".encode()).digest()[:8]) / 2**64
        bounds = [(split, getattr(self, split)) for split in ("test", "validation") if split in shared]
        for split, share in bounds:
            if place < share:
                return str(split)
            place -= share
        return "train"
