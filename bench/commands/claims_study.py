"""`bench claims-study`: how often a report's verdicts and intervals are wrong, simulated from reports' own rows."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from bench.commands import NOT_COMPARABLE, Command
from bench.compare.simulation import claims, claims_output
from bench.compare.snapshot import Snapshot, read, study_of
from bench.compare.sources import locate
from bench.core import parsing, paths, storage
from bench.core.terminal import single_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("reports", nargs="+", metavar="FOLDER", help="the reports whose rows are drawn")
    parser.add_argument("--studies", type=int, default=claims.STUDIES, help="simulated studies of each size")
    parser.add_argument("--output", type=Path, metavar="PATH", default=paths.REPORTS / "claims" / "error-rates.md")


def run(given: argparse.Namespace) -> int:
    """Simulate and write the page; 0.

    Raises:
        UserError: a report has no rows, or no aligned variant with a judge.
    """
    sources = [locate(str(folder)) for folder in given.reports]
    states = [_with_params(read(source, study_of(None, [source]), strict=False)) for source in sources]
    found = claims.simulate(states, max(given.studies, 20))
    storage.write_output(given.output, claims_output.document(found))
    print(single_line(f"{claims_output.headline(found)} -> {given.output}"))
    return 0


def _with_params(state: Snapshot) -> Snapshot:
    """Give a bare report the params of its study, where that is here: they say what the columns of its metrics mean."""
    path = paths.STUDIES / f"{state.study}.yaml"
    if state.params or not path.exists():
        return state
    return dataclasses.replace(state, params=parsing.parse_yaml(path.read_bytes(), str(path), "correct it"))


COMMAND = Command(
    "simulate how often a report's verdicts and intervals are wrong", add_arguments, run, refused=NOT_COMPARABLE
)
