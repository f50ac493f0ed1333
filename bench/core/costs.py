"""Seconds and bytes of stage runs, kept beside the graph: what was measured never decides whether a stage is run.

`costs/<stage>/<item>/<inputs>.json` is what a run took with these inputs (settings and code, `bench.core.graph`), with
the time and the machine. DVC looks at it for the report alone. A stage that DVC restores from its cache was not measured
here; the report then keeps what its last version, from git, says of the same inputs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.core import distributed, graph, paths, storage

AT, INPUTS = "measured_at", "inputs"


def identity(stage: str, item: str | None = None) -> str:
    """Return eight hex digits of a stage's settings and code; zeros where the stage `params` has not written them."""
    path = graph.inputs_path(stage, item)
    return storage.sha256_file(path)[:8] if path.exists() else "0" * 8


def path_of(stage: str, item: str | None = None) -> Path:
    """Return where the costs of a stage (of an item: a variant or checkpoint) with its present inputs lie."""
    folder = paths.COSTS / stage if item is None else paths.COSTS / stage / item
    return folder / f"{identity(stage, item)}.json"


def record(stage: str, item: str | None, facts: dict[str, Any]) -> None:
    """Keep what a run took, with the time of now."""
    if distributed.rank() == 0:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        storage.write_json(path_of(stage, item), facts | {AT: now, INPUTS: identity(stage, item)})


def recorded(stage: str, item: str | None = None) -> dict[str, Any] | None:
    """Read what the run with the present inputs took; None where it was not measured here.

    Raises:
        UserError: the file is broken.
    """
    path = path_of(stage, item)
    return storage.read_object(path, "remove it: only times are lost") if path.exists() else None
