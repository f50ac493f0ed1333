"""SAMSum (Gliwa et al. 2019) from files with `id`, `dialogue`, `summary`."""

from __future__ import annotations

from typing import Any

from bench.core.schema import Example
from bench.data import files


class Config(files.FilesConfig):
    """Three files; a dialogue must stand in one split only."""


def load(config: Config) -> dict[str, list[Example]]:
    """Load the three splits. One training row of the release has an empty dialogue; it is left out, and never of the test split."""
    return files.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example | None:
    if row["dialogue"] == "" and split != "test":
        return None
    name, source = files.identity(row, "id"), files.text(row, "dialogue").replace("\r\n", "\n")
    return Example(id=name, dialogue_id=name, source=source, references=(files.text(row, "summary"),))
