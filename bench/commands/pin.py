"""`bench pin`: the commit behind each name that a study takes from the hub, written into the study's file."""

from __future__ import annotations

import argparse
from typing import Any

from bench import config
from bench.commands import Command
from bench.config import active
from bench.core import hub, parameters, paths
from bench.core.schema import UserError
from bench.core.terminal import single_line


def of_the_hub(params: parameters.Params) -> dict[str, Any]:
    """Find the blocks that name a repository of the hub, by their place in the file: `data`, `checkpoints.base`."""
    blocks: dict[str, Any] = {"data": params.data}
    blocks |= {f"evaluate_on.{name}": block for name, block in params.evaluate_on.items()}
    blocks |= {f"checkpoints.{name}": block for name, block in params.checkpoints.items()}
    return {where: block for where, block in blocks.items() if getattr(block, "repo", None) is not None}


def unpinned(params: parameters.Params) -> dict[str, Any]:
    """Find those of them that name no commit."""
    return {where: block for where, block in of_the_hub(params).items() if not hub.is_commit(block.revision)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "study", nargs="?", help="the name of a file in studies/, without .yaml; the active one if absent"
    )


def run(given: argparse.Namespace) -> int:
    """Look up every name that is no commit and write what it stands for; a commit that is there stays.

    Raises:
        UserError: the study is not right, or one of its names cannot be looked up; then nothing is written.
    """
    path = paths.study_path(given.study or config.read().study)
    params = config.read(path)
    found = {}
    for where, block in unpinned(params).items():
        try:
            commit, files = hub.resolve(
                "model" if where.startswith("checkpoints.") else "dataset", block.repo, block.revision
            )
            block.check_files(files)
        except UserError as error:  # which speaks of the active file, and this may be another
            raise UserError(str(error).replace(f"{paths.PARAMS}: ", f"{path}: ", 1)) from None
        found[where] = commit
        print(f"{where}: {block.repo} at {single_line(block.revision)} is {commit}")
    if not found:
        print(f"{path}: nothing to pin; {len(of_the_hub(params))} from the hub, each at a commit")
        return 0
    both = active.rewrite(path, {f"{where}.revision": commit for where, commit in found.items()}, after="repo")
    print(f"{path} is pinned" + (", and so is params.yaml" if both else f"; `bench use {path.stem}` makes it active"))
    return 0


COMMAND = Command("write the commit of everything that a study takes from the hub", add_arguments, run)
