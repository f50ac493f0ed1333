"""No model: the summaries that another system wrote of the test dialogues, in the same table as the variants."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench.core import paths, storage
from bench.core.blocks import MethodConfig
from bench.training.context import TrainContext

LEARNS_FROM = "outputs"
OWN_DISTRIBUTION = False


class Config(MethodConfig):
    """`learns_from` is the file of its summaries (bench/data/outputs.py says how). `init` is of no consequence: `base`."""


def train(config: Config, context: TrainContext) -> dict[str, Any]:
    """Keep the file as the variant; returns the manifest."""
    given = Path(config.learns_from)
    record: dict[str, Any] = {
        "variant": context.variant,
        "method": config.method,
        "kind": "outputs",
        "parent": None,
        "file": f"outputs{given.suffix}",
        "sha256": storage.sha256_file(given),
        "trainable_parameters": 0,
        "total_parameters": 0,
        "facts": {},
    }
    with storage.atomic_folder(context.out) as folder:
        shutil.copyfile(given, folder / str(record["file"]))
        storage.write_json(folder / "manifest.json", record)
    storage.write_table(paths.curve_path(context.variant), [{"step": 0}])
    return record
