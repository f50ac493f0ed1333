"""The `bench` command: what a user does beside `dvc repro`."""

from __future__ import annotations

import argparse
import os
import sys

from bench.commands import (
    FAILED,
    audit,
    claims_study,
    diff,
    doctor,
    gate,
    gate_study,
    mend,
    metrics_check,
    new,
    pin,
    score,
    seeds,
    use,
    view,
)
from bench.core import runtime
from bench.core.schema import UserError

COMMANDS = {
    "score": score.COMMAND,
    "compare": score.COMPARE,
    "new": new.COMMAND,
    "use": use.COMMAND,
    "pin": pin.COMMAND,
    "doctor": doctor.COMMAND,
    "view": view.COMMAND,
    "mend": mend.COMMAND,
    "gate": gate.COMMAND,
    "diff": diff.COMMAND,
    "gate-study": gate_study.COMMAND,
    "claims-study": claims_study.COMMAND,
    "seeds": seeds.COMMAND,
    "audit": audit.COMMAND,
    "metrics-check": metrics_check.COMMAND,
}


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; a user's mistake is one sentence on the error stream and the command's own exit code for it."""
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
        return COMMANDS[given.command].refused
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED  # not 0: a gate that was not read to its end has not passed


if __name__ == "__main__":
    sys.exit(main())
