"""No training: the start as it is. Zero-shot is an ordinary variant."""

from __future__ import annotations

from typing import Any

from bench import artifacts
from bench.context import TrainContext
from bench.schema import MethodConfig

LEARNS_FROM = "nothing"


class Config(MethodConfig):
    """Nothing to set. `learns_from` repeats the start's folder, since there is nothing else it learnt from."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Record that the variant is its start; no weights are copied."""
    record = {
        "variant": context.variant,
        "method": config.method,
        "kind": "alias",
        "parent": context.init,
        "trainable_parameters": 0,
        "total_parameters": artifacts.stored_parameters(context.init),
        "facts": {},
    }
    artifacts.write_table(artifacts.curve_path(context.variant), [{"step": 0}])
    artifacts.write_json(context.out / "manifest.json", record)
    return record
