"""The `bench` command: what a user does beside `dvc repro`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from bench import audit, config
from bench.commands import doctor, mend, pin
from bench.compare import commands as compare
from bench.compare import seeds
from bench.core import paths, runtime, storage
from bench.core.schema import UserError


class Command(NamedTuple):
    """A subcommand; `run` returns the exit code, or raises UserError."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _use_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="the name of a file in studies/, without .yaml")


def _use(given: argparse.Namespace) -> int:
    """Check studies/STUDY.yaml and make it the active params.yaml."""
    path = paths.study_path(given.study)
    params = config.read(path)
    if params.study != path.stem:
        raise UserError(f"{path}: study: '{params.study}' must be the file's name, '{path.stem}'.")
    storage.write_text(paths.PARAMS, path.read_text(encoding="utf-8"))
    print(f"params.yaml is now {path} ({len(params.variants)} variants); `dvc repro` runs it")
    loose = [f"{where} ({block.repo} at '{block.revision}')" for where, block in pin.unpinned(params).items()]
    if loose:
        print(f"not pinned yet: {', '.join(loose)}; run `bench pin {path.stem}` first, where the hub is reached")
    return 0


COMMANDS = {
    "use": Command("check a study and make it the active params.yaml", _use_arguments, _use),
    "pin": Command("write the commit of everything that a study takes from the hub", pin.add_arguments, pin.run),
    "doctor": Command("what this machine can run, and what each study still needs", doctor.add_arguments, doctor.run),
    "mend": Command("remove what a kill has cut in DVC's own files", mend.add_arguments, mend.run),
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
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # not 0: a gate that was not read to its end has not passed
