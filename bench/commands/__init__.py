"""What a subcommand of `bench` is: one file of this folder with COMMAND."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

FAILED, NOT_COMPARABLE = 1, 2


class Command(NamedTuple):
    """A subcommand. `run` returns the exit code or raises UserError, which the command line prints as one sentence.

    `refused` is the exit code of a UserError: commands that compare tell what cannot be compared from what is worse.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    refused: int = FAILED
