"""The hermetic study's dialogues: written by a seeded grammar, in DialogSum's format."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, Seed
from bench.miniature import dialogues


class Config(DatasetConfig):
    """How many dialogues a split holds, and the share of them in which one speaker insults the other."""

    dataset: Literal["miniature"] = "miniature"
    seed: Seed = 0
    train: int = Field(3000, ge=1, le=1_000_000)
    validation: int = Field(200, ge=1, le=1_000_000)
    test: int = Field(400, ge=1, le=1_000_000)
    heated: float = Field(0.3, ge=0, le=1)


def load(config: Config) -> dict[str, list[Example]]:
    """Write the splits. Test and validation dialogues have two references, so that human agreement can be measured.

    Each says what happened in it: for the metric `facts`, and for who asks for the truth as a reward. No method reads it otherwise.
    """
    splits = dialogues.study(config.seed, config.train, config.validation, config.test, config.heated)
    return {
        split: [_example(split, number, dialogue) for number, dialogue in enumerate(splits[split])]
        for split in ("train", "validation", "test")
    }


def _example(split: str, number: int, dialogue: dialogues.Dialogue) -> Example:
    name = f"{split}-{number:05d}"
    return Example(
        id=name,
        dialogue_id=name,
        source=dialogue.source,
        references=dialogue.references,
        tags=("heated" if dialogue.insult else "calm", dialogue.scenario),
        facts=dict(dialogue.facts),
    )
