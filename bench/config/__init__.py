"""What a study asks for, checked as a whole: whether its blocks fit together, and what the gate judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.config import checks
from bench.core import parameters, paths
from bench.core.parameters import Params


def read(path: Path | str = paths.PARAMS) -> Params:
    """Read a params file and check each block by itself and all of them together.

    Raises:
        UserError: the file is missing, is not YAML, or a field is wrong; the message names file and field.
    """
    params = parameters.read(path)
    checks.check(params, str(path))
    return params


def parse(raw: dict[str, Any], name: str = "params.yaml") -> Params:
    """Check a study given as a plain mapping, as `read` does; `name` stands for the file in messages."""
    params = parameters.parse(raw, name)
    checks.check(params, name)
    return params
