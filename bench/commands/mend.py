"""`bench mend`: remove what an interrupted run left truncated. DVC writes two files in place, and stops at what it cannot read.

Both come back by themselves: dvc.lock from the run cache, where nothing that was done is lost, and the list of running
commands with the next command.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.commands import Command

LOCK, RUNNING = Path("dvc.lock"), Path(".dvc/tmp/rwlock")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(given: argparse.Namespace) -> int:
    """Remove what is truncated and say so; silent where nothing is."""
    for path, whole, comes_back in (
        (RUNNING, _is_json, "it listed the commands that were running"),
        (LOCK, _is_lock, "`dvc repro` brings back what it told of, from DVC's cache"),
    ):
        if path.is_file() and not whole(path):
            path.unlink()
            print(f"{path} was truncated by an interrupted run and is removed: {comes_back}")
    return 0


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _is_lock(path: Path) -> bool:
    """Whether DVC would take it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML, YAMLError
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe", pure=True).load(path.read_bytes()))
    except (YAMLError, Invalid, UnicodeDecodeError):
        return False
    return True


COMMAND = Command("remove what an interrupted run left truncated in DVC's own files", add_arguments, run)
