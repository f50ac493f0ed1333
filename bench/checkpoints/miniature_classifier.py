"""The hermetic study's classifiers, trained here: the reward that training follows, or the judge it never sees."""

from __future__ import annotations

from typing import Any, Literal

from bench.checkpoints import BuildContext
from bench.core.blocks import CheckpointConfig
from bench.core.schema import Seed
from bench.miniature import classifiers

TRAINS = True


class Config(CheckpointConfig):
    """`role` chooses the architecture (reward: RoBERTa, judge: BERT) and the generator of the training texts."""

    source: Literal["miniature_classifier"] = "miniature_classifier"
    role: Literal["reward", "judge"]
    seed: Seed = 0
    shape: classifiers.Shape = classifiers.Shape()
    training: classifiers.Training = classifiers.Training()


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Train and write the model and its tokenizer to `context.out`; returns parameters, steps and final loss."""
    return classifiers.build(
        config.role, config.seed, config.shape, config.training, context.out, context.progress, context.work
    )
