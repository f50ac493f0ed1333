"""What a source of pretrained weights is: a file of this folder with `Config` and `build`.

docs/extending.md has a template.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from bench.classifiers.packaged import Library
from bench.core import plugins, resume, runtime, storage
from bench.core.blocks import CheckpointConfig

Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")]  # of a package


@dataclass(frozen=True)
class BuildContext:
    """What a source is handed beside its own block: the folder to write, and where a source that trains keeps its work."""

    out: Path
    progress: runtime.Progress = runtime.progress
    work: resume.Work | None = None


@dataclass(frozen=True)
class Source:
    """The contract of `bench/checkpoints/<name>.py`.

    `Config` types a block of `checkpoints` in params. `build(config, context)` writes weights, configuration and
    tokenizer to `context.out` and returns facts for the report. A source that `TRAINS` is given threads, seeds and a
    work folder first.
    """

    Config: type[CheckpointConfig]
    build: Callable[[Any, BuildContext], dict[str, Any]]
    TRAINS: bool = False


class PackagedConfig(CheckpointConfig):
    """Base of the Config of a classifier inside a Python package: `version` pins the package, and with it the weights."""

    library: ClassVar[Library]
    version: Version

    def check(self) -> None:
        """Raise UserError when the package is missing or another version is installed."""
        self.library.check_version(self.version, f"params.yaml: a checkpoint with source '{self.source}'")


def build_packaged(config: PackagedConfig, context: BuildContext) -> dict[str, Any]:
    """Write the classifier.json that stands for a package's model in `context.out`; return what the report says of it.

    Raises:
        UserError: the package is missing, or another version is installed.
    """
    config.check()
    library = config.library
    held = {"library": library.name, "version": config.version, "labels": list(library.labels)}
    storage.write_json(context.out / "classifier.json", held)
    return {"name": f"{library.name} {config.version}", "labels": list(library.labels)}


def find(name: str) -> Source:
    """Return the source of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Source, plugins.find("checkpoint", name))
