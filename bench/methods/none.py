"""No training: the start as it is, by whatever prompt and decoding. Zero-shot is an ordinary variant."""

from __future__ import annotations

from typing import Any

from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext

LEARNS_FROM = "nothing"


class Config(MethodConfig):
    """Nothing to set. `learns_from` repeats the start's folder, since there is nothing else it learnt from."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Record that the variant is its start; no weights are copied. Returns the manifest."""
    return context.alias(config.method, {})
