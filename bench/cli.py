"""The `bench` command: what a user does beside `dvc repro`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple

from bench import artifacts, audit, config, runtime, seeds
from bench.compare import commands as compare
from bench.schema import UserError


class Command(NamedTuple):
    """A subcommand; `run` returns the exit code, or raises UserError."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="the name of a file in studies/, without .yaml")


def _use(given: argparse.Namespace) -> int:
    """Check studies/STUDY.yaml and make it the active params.yaml."""
    path = artifacts.STUDIES / f"{given.study}.yaml"
    known = sorted(file.stem for file in artifacts.STUDIES.glob("*.yaml"))
    if given.study not in known:
        raise UserError(
            f"{path} does not exist; studies: {', '.join(known) or 'none here'}. Run the command at the project's root."
        )
    params = config.read(path)
    if params.study != path.stem:
        raise UserError(f"{path}: study: '{params.study}' must be the file's name, '{path.stem}'.")
    artifacts.write_text(artifacts.PARAMS, path.read_text(encoding="utf-8"))
    print(f"params.yaml is now {path} ({len(params.variants)} variants); `dvc repro` runs it")
    return 0


COMMANDS = {
    "use": Command("check a study and make it the active params.yaml", _use_arguments, _use),
    **{name: Command(*command) for name, command in compare.COMMANDS.items()},
    "seeds": Command("several runs of a study with other seeds, side by side", seeds.add_arguments, seeds.run),
    "audit": Command("check published claims against their own figures", audit.add_arguments, audit.run),
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; a user's mistake is one sentence on the error stream and exit code 1 (2 where nothing can be compared)."""
    runtime.quiet()
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.help))
    given = parser.parse_args(arguments)
    try:
        return COMMANDS[given.command].run(given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
