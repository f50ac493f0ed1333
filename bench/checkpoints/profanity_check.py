"""alt-profanity-check: a linear model over hashed words, inside a Python package. A judge that needs no download."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bench.checkpoints import BuildContext, written
from bench.classifiers.packaged import PROFANITY
from bench.core.blocks import CheckpointConfig


class Config(CheckpointConfig):
    """`version` pins the package, and with it the weights. The labels are `clean` and `profane`."""

    version: str = Field("1.9.1", pattern=r"^\d+(\.\d+)+$")

    def check(self) -> None:
        """Raise UserError when the package is missing or another version is installed."""
        PROFANITY.check_version(self.version, "params.yaml: a checkpoint with source 'profanity_check'")


def build(config: Config, context: BuildContext) -> dict[str, Any]:
    """Write the classifier.json that stands for the package's model in `context.out`; return what the report says of it.

    Raises:
        UserError: the package is missing, or another version is installed.
    """
    config.check()
    return written(PROFANITY, config.version, context)
