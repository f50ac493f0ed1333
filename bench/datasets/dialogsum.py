"""DialogSum (Chen et al. 2021): one summary a training dialogue, three a test dialogue."""

from __future__ import annotations

import re
from typing import Any

from bench.core.schema import Example
from bench.data import files


class Config(files.FilesConfig):
    """The authors' dialogsum.{train,dev,test}.jsonl, or the hub's {train,validation,test}.csv."""


def load(config: Config) -> dict[str, list[Example]]:
    """Load the three splits; `dialogue_id` is the release's `fname`, a test dialogue's references stand in one example."""
    return files.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example:
    name, dialogue = files.identity(row, "id" if "id" in row else "fname"), None
    if split == "test":  # the hub's file has a row for each reference: test_0_1, test_0_2, test_0_3
        dialogue = re.fullmatch(r"(test_\d+)_\d+", name)
    fields = ["summary"] if "summary" in row else ["summary1", "summary2", "summary3"]
    return Example(
        id=name,
        dialogue_id=dialogue[1] if dialogue else name,
        source=files.text(row, "dialogue"),
        references=tuple(files.text(row, field) for field in fields),
    )
