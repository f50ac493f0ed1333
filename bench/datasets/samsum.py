"""SAMSum (Gliwa et al. 2019) from files with `id`, `dialogue`, `summary`."""

from __future__ import annotations

from typing import Any

from bench import jsonl
from bench.schema import Example


class Config(jsonl.JsonlConfig):
    """Three files; a dialogue must stand in one split only."""


def load(config: Config) -> dict[str, list[Example]]:
    """The three splits. One training row of the release has an empty dialogue; it is left out."""
    return jsonl.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example | None:
    source = row["dialogue"].replace("\r\n", "\n").strip()
    if not source and split == "train":
        return None
    return Example(id=row["id"], dialogue_id=row["id"], source=source, references=(row["summary"].strip(),))
