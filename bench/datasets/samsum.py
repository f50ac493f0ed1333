"""SAMSum (Gliwa et al. 2019) from files with `id`, `dialogue`, `summary`."""

from __future__ import annotations

from typing import Any

from bench import dataset_files
from bench.schema import Example


class Config(dataset_files.FilesConfig):
    """Three files; a dialogue must stand in one split only."""


def load(config: Config) -> dict[str, list[Example]]:
    """The three splits. One training row of the release has an empty dialogue; it is left out."""
    return dataset_files.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example | None:
    if row["dialogue"] == "" and split == "train":
        return None
    name, source = dataset_files.text(row, "id"), dataset_files.text(row, "dialogue").replace("\r\n", "\n")
    return Example(id=name, dialogue_id=name, source=source, references=(dataset_files.text(row, "summary"),))
