"""`bench gate-study`: how often the gate is wrong, simulated from a report's own rows."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands import NOT_COMPARABLE, Command
from bench.compare import seeds
from bench.compare.simulation import characteristics, output
from bench.compare.snapshot import read, study_of
from bench.compare.sources import locate
from bench.core import paths, storage
from bench.core.terminal import single_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--report", metavar="REV|FILE", help="whose rows are resampled; the working tree's if not given"
    )
    parser.add_argument("--study", help="the study; the active one if not given")
    parser.add_argument("--variant", help="the variant; the best one if not given")
    parser.add_argument("--column", help="the column; the primary one if not given")
    parser.add_argument(
        "--runs",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="reports of the study with other seeds: how much the training seed moves each gated metric",
    )
    parser.add_argument("--pairs", type=int, default=characteristics.PAIRS, help="simulated pairs in each cell")
    parser.add_argument("--output", type=Path, metavar="PATH", default=paths.REPORTS / "gate" / "characteristics.md")


def run(given: argparse.Namespace) -> int:
    """Simulate and write the page; 0.

    Raises:
        UserError: there are no rows to resample.
    """
    source = locate(given.report)
    state = read(source, study_of(given.study, [source]), strict=False)
    runs = seeds.load(given.runs) if given.runs else None
    found = characteristics.simulate(state, given.variant, given.column, max(given.pairs, 100), runs)
    storage.write_output(given.output, output.document(found))
    print(single_line(f"{output.headline(found)} -> {given.output}"))
    return 0


COMMAND = Command(
    "simulate how often the gate is wrong, from a report's own rows", add_arguments, run, refused=NOT_COMPARABLE
)
