"""VADER: sentiment by a lexicon and rules, inside a Python package. A reward or a judge that needs no download."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.checkpoints import BuildContext, written
from bench.classifiers.packaged import VADER
from bench.core.blocks import CheckpointConfig


class Config(CheckpointConfig):
    """`version` pins the package, and with it the lexicon. The labels are `negative` and `positive`."""

    version: str = Field("3.3.2", pattern=r"^\d+(\.\d+)+$")

    def check(self) -> None:
        """Raise UserError when the package is missing or another version is installed."""
        VADER.check_version(self.version, "params.yaml: a checkpoint with source 'vader'")


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Write the classifier.json that stands for the package in `context.out`; return what the report says of it.

    Raises:
        UserError: the package is missing, or another version is installed.
    """
    config.check()
    return written(VADER, config.version, context)
