"""A sequence classifier with one logit, on an encoder or a decoder: it reads the summary, or the dialogue with it."""

from __future__ import annotations

from typing import Any, Literal

from bench.core import runtime
from bench.reward_models import TrainedConfig
from bench.training.context import TrainContext


class Config(TrainedConfig):
    """`reads` says what it is shown; of both, the dialogue is cut where they do not fit."""

    reads: Literal["both", "summary"] = "both"


def build(config: Config, context: TrainContext) -> Any:
    """Start from any checkpoint's encoder or decoder under a fresh head."""
    from bench.classifiers.reward_models.classifying import Classifying

    runtime.set_seed(context.seed)
    return Classifying.fresh(context.init, context.device, config.adapter, context.text, config.reads, context.where)


def load(name: str, settings: dict[str, Any], device: str) -> Any:
    """Load model and head."""
    from bench.classifiers.reward_models.classifying import Classifying

    return Classifying.stored(name, settings, device)
