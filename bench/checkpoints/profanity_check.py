"""alt-profanity-check: a linear model over hashed words, inside a Python package. A judge that needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from bench import artifacts, profanity, runtime
from bench.schema import CheckpointConfig

TRAINS = False


class Config(CheckpointConfig):
    """`version` pins the package, and with it the weights. The labels are `clean` and `profane`."""

    version: str = Field("1.9.1", pattern=r"^\d+(\.\d+)+$")

    def check(self) -> None:
        """Raise UserError when the package is missing or another version is installed."""
        profanity.check_version(self.version, "params.yaml: a checkpoint with source 'profanity_check'")


def build(config: Config, out: Path, progress: runtime.Progress | None = None) -> dict[str, Any]:
    """Write the classifier.json that stands for the package's model in `out`; return what the report says of it.

    Raises:
        UserError: the package is missing, or another version is installed.
    """
    config.check()
    artifacts.write_json(
        out / "classifier.json",
        {"library": profanity.NAME, "version": config.version, "labels": list(profanity.LABELS)},
    )
    return {"name": f"{profanity.NAME} {config.version}", "labels": list(profanity.LABELS)}
