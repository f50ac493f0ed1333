"""DialogSum (Chen et al. 2021): one summary a training dialogue, three a test dialogue."""

from __future__ import annotations

import re
from typing import Any

from bench import jsonl
from bench.schema import Example


class Config(jsonl.JsonlConfig):
    """The authors' dialogsum.{train,dev,test}.jsonl, or the hub's {train,validation,test}.csv."""


def load(config: Config) -> dict[str, list[Example]]:
    """The three splits; `dialogue_id` is the release's `fname`, a test dialogue's references stand in one example."""
    return jsonl.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example:
    name, dialogue = row["id"] if "id" in row else row["fname"], None
    if split == "test":  # the hub's file has a row for each reference: test_0_1, test_0_2, test_0_3
        dialogue = re.fullmatch(r"(test_\d+)_\d+", name)
    summaries = [row["summary"]] if "summary" in row else [row[f"summary{k}"] for k in (1, 2, 3)]
    return Example(
        id=name,
        dialogue_id=dialogue[1] if dialogue else name,
        source=row["dialogue"].strip(),
        references=tuple(text.strip() for text in summaries),
        tags=(),
    )
