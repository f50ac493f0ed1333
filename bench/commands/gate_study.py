"""`bench gate-study`: how often the gate is wrong about a whole study, simulated from a report's own rows."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands import NOT_COMPARABLE, Command
from bench.compare import seeds
from bench.compare.simulation import characteristics, output
from bench.compare.snapshot import read, study_of
from bench.compare.sources import locate
from bench.config import active
from bench.core import paths, storage
from bench.core.terminal import single_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--report", metavar="REV|FILE", help="whose rows are resampled; the working tree's if not given"
    )
    parser.add_argument("--study", help="the study; the active one if not given")
    parser.add_argument(
        "--runs",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="reports of the study with other seeds: measures how much training again moves each gated metric, and writes "
        "that into the study's gate.training_sd",
    )
    parser.add_argument("--studies", type=int, default=characteristics.STUDIES, help="simulated studies a line")
    parser.add_argument("--output", type=Path, metavar="PATH", default=paths.REPORTS / "gate" / "characteristics.md")


def run(given: argparse.Namespace) -> int:
    """Simulate and write the page; with `--runs` also what they measured into the study's file; 0.

    Raises:
        UserError: there are no rows to resample.
    """
    source = locate(given.report)
    study = study_of(given.study, [source])
    state = read(source, study, strict=False)
    runs = seeds.load(given.runs) if given.runs else None
    found = characteristics.simulate(state, runs, max(given.studies, 100))
    storage.write_output(given.output, output.document(found))
    print(single_line(f"{output.headline(found)} -> {given.output}"))
    if runs and given.report is None:
        print(single_line(_written(study, found)))
    return 0


def _written(study: str, found: characteristics.Found) -> str:
    """Write the spread of each column into the study's file; returns what was written where."""
    measured = {
        f"gate.training_sd.{column}": {"sd": float(f"{factor * spread.stated:.2g}"), "df": spread.df}
        for column, (spread, factor) in found.spreads.items()
        if spread is not None
    }
    file = paths.STUDIES / f"{study}.yaml"
    path = file if file.exists() else paths.PARAMS
    active.rewrite(path, measured)
    said = ", ".join(f"{key.rpartition('.')[2]} {value['sd']:g} (df {value['df']})" for key, value in measured.items())
    return f"{path}: gate.training_sd: {said or 'the runs have no such column'}"


COMMAND = Command(
    "simulate how often the gate is wrong about a study, from a report's own rows",
    add_arguments,
    run,
    refused=NOT_COMPARABLE,
)
