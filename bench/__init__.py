"""Reproducible evaluation of a dialogue summariser before and after tuning and alignment.

`from bench import score` scores any summaries against references, without a study.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Load `score` when it is asked for. By name: an import here would be one of every stage's (`bench.core.graph`)."""
    if name == "score":
        return import_module("bench.standalone").score
    raise AttributeError(f"module 'bench' has no attribute '{name}'")
