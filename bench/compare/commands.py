"""`bench gate`, `bench diff` and `bench gate-study`: arguments in, files and an exit code out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

from bench.compare import dvc_lock, seeds
from bench.compare.diff import changes
from bench.compare.diff import output as diff_output
from bench.compare.gate import judge
from bench.compare.gate import output as gate_output
from bench.compare.simulation import characteristics
from bench.compare.simulation import output as simulation_output
from bench.compare.snapshot import read, study_of
from bench.compare.sources import NotComparable, locate
from bench.config.gate import Rule
from bench.core import paths, storage
from bench.core.schema import UserError
from bench.core.terminal import single_line

NOT_COMPARABLE = 2
FORMS = {"markdown": gate_output.markdown, "json": gate_output.as_json, "junit": gate_output.junit}


class Command(NamedTuple):
    """What `bench` needs to know about a command; `run` never raises for a user's mistake."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def gate_arguments(parser: argparse.ArgumentParser) -> None:
    """`bench gate`."""
    parser.add_argument(
        "--against", required=True, metavar="REV|FILE", help="a git revision, a report's metrics.json or its folder"
    )
    parser.add_argument("--study", help="the study to judge; the active one if not given")
    parser.add_argument("--rule", choices=get_args(Rule), help="params.yaml's gate.rule if not given")
    parser.add_argument("--variant", action="append", default=[], help="judge only this one; may be repeated")
    parser.add_argument("--strict", action="store_true", help="what is inconclusive fails too")
    for form in FORMS:
        parser.add_argument(f"--{form}", type=Path, metavar="PATH", help=f"write the outcome as {form} too")


def run_gate(arguments: argparse.Namespace) -> int:
    """0 pass or inconclusive, 1 failed (or, with --strict, inconclusive), 2 not comparable."""
    wanted = {form: path for form in FORMS if (path := getattr(arguments, form)) is not None}
    try:
        tree, baseline = locate(None), locate(arguments.against)
        study = study_of(arguments.study, [tree, baseline])
        old, new = read(baseline, study), read(tree, study)
        outcome = judge.compare(old, new, arguments.rule, arguments.strict, arguments.variant)
        print(gate_output.terminal(outcome))
        _write({path: FORMS[form](outcome) for form, path in wanted.items()})
    except UserError as error:
        made = gate_output.refusal(str(error))
        return _refused(error, {path: made[form] for form, path in wanted.items()})
    return outcome.exit_code


def diff_arguments(parser: argparse.ArgumentParser) -> None:
    """`bench diff`."""
    parser.add_argument("before", metavar="A", help="a git revision, a report's metrics.json or its folder")
    parser.add_argument("after", metavar="B", nargs="?", help="likewise; the working tree if not given")
    parser.add_argument("--study", help="the study to compare; the active one if not given")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    parser.add_argument("--rows", type=int, default=5, help="how many rows a variant is shown with (5)")
    parser.add_argument("--output", type=Path, metavar="PATH", help="write to a file instead")


def run_diff(arguments: argparse.Namespace) -> int:
    """0, or 2 where the two cannot be compared."""
    forms = {"table": diff_output.terminal, "markdown": diff_output.markdown, "json": diff_output.as_json}
    try:
        sources = [locate(arguments.before), locate(arguments.after)]
        study = study_of(arguments.study, [locate(None), *sources] if not arguments.study else sources)
        old, new = (read(source, study, strict=False) for source in sources)
        notes = []
        for state in (old, new):
            try:
                if state.source.is_project:
                    dvc_lock.check(state.source, study, state.params)
            except NotComparable as error:
                notes.append(f"warning: {error}")
        text = forms[arguments.format](changes.build(old, new, max(arguments.rows, 0), notes))
        if arguments.output is None:
            print(text.rstrip("\n"))
        else:
            _write({arguments.output: text})
    except UserError as error:
        return _refused(error)
    return 0


def study_arguments(parser: argparse.ArgumentParser) -> None:
    """`bench gate-study`."""
    parser.add_argument(
        "--report", metavar="REV|FILE", help="whose rows are resampled; the working tree's if not given"
    )
    parser.add_argument("--study", help="the study; the active one if not given")
    parser.add_argument("--variant", help="the variant; the best one if not given")
    parser.add_argument("--column", help="the column; the primary one if not given")
    parser.add_argument(
        "--runs", nargs="+", type=Path, default=[], metavar="FOLDER",
        help="reports of the study with other seeds: how much training again moves each gated metric",
    )  # fmt: skip
    parser.add_argument("--pairs", type=int, default=characteristics.PAIRS, help="simulated pairs in each cell")
    parser.add_argument("--output", type=Path, metavar="PATH", default=paths.REPORTS / "gate" / "characteristics.md")


def run_study(arguments: argparse.Namespace) -> int:
    """0, or 2 where there are no rows to resample."""
    try:
        source = locate(arguments.report)
        state = read(source, study_of(arguments.study, [source]), strict=False)
        runs = seeds.load(arguments.runs) if arguments.runs else None
        found = characteristics.simulate(state, arguments.variant, arguments.column, max(arguments.pairs, 100), runs)
        _write({arguments.output: simulation_output.document(found)})
    except UserError as error:
        return _refused(error)
    print(single_line(f"{simulation_output.headline(found)} -> {arguments.output}"))
    return 0


COMMANDS = {
    "gate": Command("did the scores get worse than a revision's? exit code 1 if so", gate_arguments, run_gate),
    "diff": Command("what changed between two revisions: params, scores, costs, rows", diff_arguments, run_diff),
    "gate-study": Command("simulate how often the gate is wrong, from a report's own rows", study_arguments, run_study),
}


def _refused(error: UserError, files: dict[Path, str] | None = None) -> int:
    """One sentence on the error stream, and the same in the files that were asked for."""
    print(f"error: {error}", file=sys.stderr)
    try:
        _write(files or {})
    except UserError as second:
        print(f"error: {second}", file=sys.stderr)
    return NOT_COMPARABLE


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        try:
            storage.write_text(path, text)
        except OSError as error:
            raise NotComparable(f"{path} cannot be written ({error.strerror}); name another path.") from None
