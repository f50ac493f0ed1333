"""Finds a dataset, checkpoint source, method or metric by the name of its file or folder. There is no list to edit.

What each kind has to offer stands in the `__init__.py` of its folder.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from types import ModuleType
from typing import Any, TypeVar

from bench.core.schema import UserError

Contract = TypeVar("Contract")

FOLDERS = {
    "dataset": "datasets",
    "checkpoint": "checkpoints",
    "method": "methods",
    "metric": "metrics",
    "preferences source": "preferences",
    "reward model": "reward_models",
    "training set source": "training_sets",
}


def names(kind: str) -> list[str]:
    """Return every plugin of a kind, sorted."""
    package = importlib.import_module(f"bench.{FOLDERS[kind]}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def nearest(word: str, known: list[str]) -> str:
    """Suggest the nearest known word, `did you mean 'x'?`, else list the known ones, of which there may be none."""
    close = difflib.get_close_matches(word[:80], known, n=1)  # a stranger's key may have any length
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(known)}." if known else "there is none yet: add one."


def find(kind: str, name: str) -> ModuleType:
    """Return the module `bench/<folder of kind>/<name>`; only what lies there is ever imported."""
    known = names(kind)
    if name not in known:
        raise UserError(f"there is no {kind} '{name}' in bench/{FOLDERS[kind]}/; {nearest(name, known)}")
    return importlib.import_module(f"bench.{FOLDERS[kind]}.{name}")


def conform(contract: type[Contract], module: ModuleType) -> Contract:
    """Take the module's parts as the dataclass `contract`; a part that it leaves out has the contract's default.

    Raises:
        UserError: a part without a default is missing.
    """
    found: dict[str, Any] = {}
    for part in dataclasses.fields(contract):  # type: ignore[arg-type]
        if hasattr(module, part.name):
            found[part.name] = getattr(module, part.name)
        elif part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING:
            raise UserError(
                f"{module.__name__.replace('.', '/')}: '{part.name}' is missing; see `{contract.__name__}` in "
                f"{contract.__module__.replace('.', '/')}/__init__.py."
            )
    return contract(**found)
