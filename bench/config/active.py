"""The active params.yaml, made of a study's file: sweeps are written out, and the defaults that DVC looks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.config import sources
from bench.core import editing, parameters, parsing, paths, storage


def made_of(text: str, path: Path) -> str:
    """Return what params.yaml holds where the study of this text, in the file `path`, is the active one.

    Raises:
        UserError: a block is wrong, or nothing can be added below the text.
    """
    params = parameters.parse(parsing.parse_yaml(text.encode(), str(path)), str(path))
    return sources.completed(editing.with_sweeps(text, str(path)), params)


def rewrite(path: Path, values: Mapping[str, Any], after: str | None = None) -> bool:
    """Set values by dotted key in a study's file, and make params.yaml anew where that is made of it; tells whether it is."""
    text = path.read_text(encoding="utf-8")
    active = paths.PARAMS.exists() and paths.PARAMS.read_text(encoding="utf-8") in (text, made_of(text, path))
    new = editing.edited(text, values, after)
    storage.write_text(path, new)
    if active:
        storage.write_text(paths.PARAMS, made_of(new, path))
    return active
