"""Finds a dataset, checkpoint source, method or metric by its file's name. There is no list to edit."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from bench.schema import UserError

FOLDERS = {"dataset": "datasets", "checkpoint": "checkpoints", "method": "methods", "metric": "metrics"}


def names(kind: str) -> list[str]:
    """Every plugin of a kind, sorted."""
    package = importlib.import_module(f"bench.{FOLDERS[kind]}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for a word close to a known one, else the known ones."""
    close = difflib.get_close_matches(word[:80], known, n=1)  # a stranger's key may have any length
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}."


def find(kind: str, name: str) -> ModuleType:
    """The module `bench/<folder of kind>/<name>.py`; only a file that lies there is ever imported."""
    known = names(kind)
    if name not in known:
        raise UserError(f"there is no {kind} '{name}' in bench/{FOLDERS[kind]}/; {nearest(name, known)}")
    return importlib.import_module(f"bench.{FOLDERS[kind]}.{name}")
