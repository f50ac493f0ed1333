"""The hermetic study's classifiers, trained here: the reward that training follows, or the judge it never sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from bench import resume
from bench.miniature import classifiers, steps
from bench.schema import CheckpointConfig, Seed

TRAINS = True


class Config(CheckpointConfig):
    """`role` chooses the architecture (reward: RoBERTa, judge: BERT) and the generator of the training texts."""

    source: Literal["miniature_classifier"] = "miniature_classifier"
    role: Literal["reward", "judge"]
    seed: Seed = 0
    shape: classifiers.Shape = classifiers.Shape()
    training: classifiers.Training = classifiers.Training()


def build(
    config: Config, out: Path, progress: steps.Progress | None = None, work: resume.Work | None = None
) -> dict[str, Any]:
    """Train and write the model and its tokenizer to `out`; returns parameters, steps and final loss."""
    return classifiers.build(config.role, config.seed, config.shape, config.training, out, progress, work)
