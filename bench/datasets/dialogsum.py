"""DialogSum (Chen et al. 2021) from its authors' JSONL files: one summary a training dialogue, three a test dialogue."""

from __future__ import annotations

from typing import Any

from bench import jsonl
from bench.schema import Example


class Config(jsonl.JsonlConfig):
    """The authors' release: dialogsum.{train,dev,test}.jsonl."""


def load(config: Config) -> dict[str, list[Example]]:
    """The three splits; `dialogue_id` is the release's `fname`, its three references stand in one example."""
    return jsonl.load(config, _example)


def _example(row: dict[str, Any], split: str) -> Example:
    summaries = [row["summary"]] if "summary" in row else [row[f"summary{k}"] for k in (1, 2, 3)]
    return Example(
        id=row["fname"],
        dialogue_id=row["fname"],
        source=row["dialogue"].strip(),
        references=tuple(text.strip() for text in summaries),
        tags=(),
    )
