"""`bench seeds`: several runs of a study with other seeds, side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.commands import Command
from bench.compare import seeds
from bench.core import storage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="report folders of the runs")
    parser.add_argument("--output", type=Path, metavar="PATH", help="write the page there too")


def run(given: argparse.Namespace) -> int:
    """Print the page; 0.

    Raises:
        UserError: the folders hold no runs of one study.
    """
    text = seeds.page(seeds.load(given.folders))
    if given.output is not None:
        storage.write_output(given.output, text)
    sys.stdout.write(text)
    return 0


COMMAND = Command("several runs of a study with other seeds, side by side", add_arguments, run)
