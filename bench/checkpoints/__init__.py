"""What a source of pretrained weights is: a file of this folder with `Config` and `build`.

docs/extending.md has a template.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core import plugins, resume, runtime
from bench.core.blocks import CheckpointConfig


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


def find(name: str) -> Source:
    """Return the source of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Source, plugins.find("checkpoint", name))
