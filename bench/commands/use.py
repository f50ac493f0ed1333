"""`bench use`: check a study and make it the active params.yaml."""

from __future__ import annotations

import argparse

from bench import config
from bench.commands import Command, pin
from bench.config import active
from bench.core import paths, storage
from bench.core.schema import UserError
from bench.core.terminal import single_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("study", help="the name of a file in studies/, without .yaml")


def run(given: argparse.Namespace) -> int:
    """Check studies/STUDY.yaml and copy it to params.yaml.

    Raises:
        UserError: there is no such study, or it is wrong.
    """
    path = paths.study_path(given.study)
    params = config.read(path)
    if params.study != path.stem:
        raise UserError(f"{path}: study: '{params.study}' must be the file's name, '{path.stem}'.")
    storage.write_text(paths.PARAMS, active.made_of(path.read_text(encoding="utf-8"), path))
    print(f"params.yaml is now {path} ({len(params.variants)} variants); `dvc repro` runs it")
    unpinned = [f"{where} ({block.repo} at '{block.revision}')" for where, block in pin.unpinned(params).items()]
    if unpinned:
        print(
            f"not pinned yet: {single_line(', '.join(unpinned))}; run `bench pin {path.stem}` first, where the hub is reached"
        )
    return 0


COMMAND = Command("check a study and make it the active params.yaml", add_arguments, run)
