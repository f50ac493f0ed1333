"""`bench gate`: did the scores get worse than a revision's?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from bench.commands import NOT_COMPARABLE, Command
from bench.compare.gate import judge, output
from bench.compare.snapshot import read, study_of
from bench.compare.sources import locate
from bench.config.gate import Rule
from bench.core import storage
from bench.core.schema import UserError

FORMATS = {"markdown": output.markdown, "json": output.as_json, "junit": output.junit}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--against", required=True, metavar="REV|FILE", help="a git revision, a report's metrics.json or its folder"
    )
    parser.add_argument("--study", help="the study to judge; the active one if not given")
    parser.add_argument("--rule", choices=get_args(Rule), help="params.yaml's gate.rule if not given")
    parser.add_argument("--variant", action="append", default=[], help="judge only this one; may be repeated")
    parser.add_argument("--strict", action="store_true", help="what is inconclusive fails too")
    for name in FORMATS:
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=f"write the outcome as {name} too")


def run(given: argparse.Namespace) -> int:
    """Print the verdicts; 0 pass or inconclusive, 1 failed (or, with --strict, inconclusive).

    A refusal is written into the files asked for as well: a missing file must not read as a passed gate.

    Raises:
        UserError: the two states cannot be compared.
    """
    wanted = {name: path for name in FORMATS if (path := getattr(given, name)) is not None}
    try:
        tree, baseline = locate(None), locate(given.against)
        study = study_of(given.study, [tree, baseline])
        old, new = read(baseline, study), read(tree, study)
        outcome = judge.compare(old, new, given.rule, given.strict, given.variant)
    except UserError as error:
        refusal = output.refusal(str(error))
        for name, path in wanted.items():
            storage.write_output(path, refusal[name])
        raise
    print(output.terminal(outcome))
    for name, path in wanted.items():
        storage.write_output(path, FORMATS[name](outcome))
    return outcome.exit_code


COMMAND = Command(
    "did the scores get worse than a revision's? exit code 1 if so", add_arguments, run, refused=NOT_COMPARABLE
)
