"""`bench diff`: what changed between two revisions."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands import NOT_COMPARABLE, Command
from bench.compare import dvc_lock
from bench.compare.diff import changes, output
from bench.compare.snapshot import read, study_of
from bench.compare.sources import locate
from bench.core import storage
from bench.core.schema import UserError

FORMATS = {"table": output.terminal, "markdown": output.markdown, "json": output.as_json}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("before", metavar="A", help="a git revision, a report's metrics.json or its folder")
    parser.add_argument("after", metavar="B", nargs="?", help="likewise; the working tree if not given")
    parser.add_argument("--study", help="the study to compare; the active one if not given")
    parser.add_argument("--format", choices=tuple(FORMATS), default="table")
    parser.add_argument("--rows", type=int, default=5, help="how many rows a variant is shown with (5)")
    parser.add_argument("--output", type=Path, metavar="PATH", help="write to a file instead")


def run(given: argparse.Namespace) -> int:
    """Print the differences; 0.

    Raises:
        UserError: the two states cannot be compared.
    """
    sources = [locate(given.before), locate(given.after)]
    study = study_of(given.study, [locate(None), *sources] if not given.study else sources)
    old, new = (read(source, study, strict=False) for source in sources)
    warnings = []
    for state in (old, new):
        try:
            if state.source.is_project:
                dvc_lock.check(state.source, study, state.params)
        except UserError as error:
            warnings.append(f"warning: {error}")
    text = FORMATS[given.format](changes.build(old, new, max(given.rows, 0), warnings))
    if given.output is None:
        print(text.rstrip("\n"))
    else:
        storage.write_output(given.output, text)
    return 0


COMMAND = Command(
    "what changed between two revisions: params, scores, costs, rows", add_arguments, run, refused=NOT_COMPARABLE
)
