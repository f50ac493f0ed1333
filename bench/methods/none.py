"""No training: the start as it is. Zero-shot is an ordinary variant."""

from __future__ import annotations

from typing import Any

from bench.core import manifest, paths, storage
from bench.core.schema import MethodConfig
from bench.training.context import TrainContext

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
        "total_parameters": manifest.stored_parameters(context.init),
        "facts": {},
    }
    storage.write_table(paths.curve_path(context.variant), [{"step": 0}])
    storage.write_json(context.out / "manifest.json", record)
    return record
