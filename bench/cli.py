"""The `bench` command: what a user does beside `dvc repro`."""

from __future__ import annotations

import argparse
import sys

from bench import artifacts, config, runtime
from bench.schema import UserError


def use(study: str) -> str:
    """Check studies/STUDY.yaml and make it the active params.yaml."""
    path = artifacts.STUDIES / f"{study}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in artifacts.STUDIES.glob("*.yaml"))) or "none here"
        raise UserError(f"{path} does not exist; studies: {known}. Run the command at the project's root.")
    params = config.read(path)
    if params.study != path.stem:
        raise UserError(f"{path}: study: '{params.study}' must be the file's name, '{path.stem}'.")
    artifacts.write_text(artifacts.PARAMS, path.read_text(encoding="utf-8"))
    return f"params.yaml is now {path} ({len(params.variants)} variants); `dvc repro` runs it"


def main(arguments: list[str] | None = None) -> int:
    """Entry point; 0, or 1 with one sentence on the error stream."""
    runtime.quiet()
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("use", help="check a study and make it the active params.yaml")
    command.add_argument("study", help="the name of a file in studies/, without .yaml")
    given = parser.parse_args(arguments)
    try:
        print(use(given.study))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
