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
    fields = ["summary"] if "summary" in row else ["summary1", "summary2", "summary3"]
    name = jsonl.text(row, "fname")
    return Example(
        id=name,
        dialogue_id=name,
        source=jsonl.text(row, "dialogue"),
        references=tuple(jsonl.text(row, field) for field in fields),
    )
