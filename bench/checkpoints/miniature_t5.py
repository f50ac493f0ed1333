"""The hermetic study's base: a small T5 trained here, from a seed, on tasks other than the study's."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.checkpoints import BuildContext
from bench.core.blocks import CheckpointConfig
from bench.core.schema import Seed
from bench.miniature import pretraining, seq2seq

TRAINS = True


class Config(CheckpointConfig):
    """`pieces` is the tokenizer's size, `pool` how many dialogues the tasks draw from, `heated` the share with insults."""

    source: Literal["miniature_t5"] = "miniature_t5"
    seed: Seed = 0
    pieces: int = Field(950, ge=300, le=100_000)
    pool: int = Field(3000, ge=20, le=1_000_000)
    heated: float = Field(0.3, ge=0, le=1)
    shape: seq2seq.Shape = seq2seq.Shape()
    training: pretraining.Training = pretraining.Training()


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Pretrain and write the model and its tokenizer to `context.out`; returns parameters, steps and final loss."""
    return pretraining.build(
        config.seed,
        config.pieces,
        config.pool,
        config.heated,
        config.shape,
        config.training,
        context.out,
        context.progress,
        context.work,
    )
