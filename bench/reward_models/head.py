"""A linear head on every token of a summary as the model reads it, summed: a score a token, whose sum is the reward.

A head on the last token alone learnt nothing on an encoder-decoder (docs/tried.md).
"""

from __future__ import annotations

from typing import Any

from bench.reward_models import TrainedConfig
from bench.training.context import TrainContext


class Config(TrainedConfig):
    """Nothing more to set: the weights of `init`, or an adapter on them, are trained with the head."""


def build(config: Config, context: TrainContext) -> Any:
    """Start from a model that writes, or a fresh adapter on it, and a head of zeros."""
    from bench.classifiers.reward_models.writing import SummedHead
    from bench.lm import models

    return SummedHead(models.trainable(context.start(), config.adapter), context.text)


def load(name: str, settings: dict[str, Any], device: str) -> Any:
    """Load the model and its head."""
    from bench.classifiers.reward_models.writing import SummedHead, text_of
    from bench.lm import models

    found = SummedHead(models.load(name, device), text_of(settings))
    found.load_head(name)
    return found
