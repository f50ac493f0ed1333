"""A training context on the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core import resume, runtime
from bench.core.blocks import ComputeConfig, TextConfig
from bench.core.schema import Example
from bench.training.context import TrainContext

EXAMPLES = [
    Example(
        id=f"e{i}",
        dialogue_id=f"e{i}",
        source=f"#person1# : hello you are {a} #person2# : {b}",
        references=(f"{a} meets {b}",),
    )
    for i, (a, b) in enumerate(zip("abcdefghij", "jihgfedcba", strict=True))
]


@pytest.fixture
def context(tiny_base: Path, tiny_reward: Path) -> Callable[..., TrainContext]:
    """Make a context for a variant: `context("lora", init="base")`."""

    def make(
        variant: str,
        init: str = "base",
        learns_from: str = "data/train.jsonl",
        seed: int = 0,
        **compute: Any,
    ) -> TrainContext:
        settings = ComputeConfig(device="cpu", threads=1, **compute)
        device = runtime.prepare(settings, seed)
        return TrainContext(
            variant=variant,
            init=init,
            learns_from=learns_from,
            seed=seed,
            text=TextConfig(max_target_tokens=12),
            compute=settings,
            device=device,
            train=EXAMPLES,
            validation=EXAMPLES[:4],
            meter=runtime.Meter(),
            work=resume.Work("train", variant, f"{variant} {seed}"),
        )

    return make
