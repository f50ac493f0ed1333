"""The reward that a model implies against its start: beta times the log-ratio of a summary's chances.

Rafailov et al. 2023, section 4: with the Bradley-Terry loss, DPO's loss itself. What ranks well in this way writes badly: it is
read as a reward, and no summary of it is ever shown.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.reward_models import TrainedConfig
from bench.training.context import TrainContext


class Config(TrainedConfig):
    """`beta` scales the log-ratio, nats."""

    beta: float = Field(0.1, gt=0)


def build(config: Config, context: TrainContext) -> Any:
    """Start from a model that writes, or a fresh adapter on it."""
    from bench.classifiers.reward_models.writing import LogRatio
    from bench.lm import models

    start = context.start()
    reference = None if config.adapter is not None else context.start()
    return LogRatio(models.trainable(start, config.adapter), reference, context.text, config.beta)


def load(name: str, settings: dict[str, Any], device: str) -> Any:
    """Load both sides of the ratio."""
    from bench.classifiers.reward_models.writing import LogRatio, text_of
    from bench.lm import models

    loaded = models.load(name, device)
    reference = models.load(settings["init"], device) if loaded.kind == "full" else None
    return LogRatio(loaded, reference, text_of(settings), settings["config"]["beta"])
