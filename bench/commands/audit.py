"""`bench audit`: published claims against what their own figures carry."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.audit import SHIPPED
from bench.commands import Command
from bench.core import paths, storage
from bench.core.schema import UserError

OWN = Path("claims")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="files of claims (default: those shipped with bench, and claims/*.json)",
    )
    parser.add_argument(
        "--out", type=Path, default=paths.REPORTS, metavar="FOLDER", help="where audit.md and audit.json go"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every claim holds")


def run(arguments: argparse.Namespace) -> int:
    """Check the claims, print the table, write audit.md and audit.json; 0, or with --strict 1 where a claim does not hold.

    Raises:
        UserError: a file of claims is missing or wrong.
    """
    from bench.audit import checks, claims, output
    from bench.audit.finding import HOLDS

    paths = list(arguments.files) or [*sorted(SHIPPED.glob("*.json")), *sorted(OWN.glob("*.json"))]
    doubled = next((path for k, path in enumerate(paths) if path.name in {p.name for p in paths[:k]}), None)
    if doubled:
        raise UserError(f"{doubled}: another file of claims has this name too; rename one of them.")
    audited = {}
    for path in paths:
        file = claims.read(path)
        audited[path] = file, [checks.judge(file, claim) for claim in file.claims]
    storage.write_json(arguments.out / "audit.json", output.as_json(audited))
    storage.write_text(arguments.out / "audit.md", output.markdown(audited))
    print(output.terminal(audited))
    print(f"\naudit: {output.headline(audited)} -> {arguments.out / 'audit.md'}")
    clean = all(finding.verdict == HOLDS for _, findings in audited.values() for finding in findings)
    return int(arguments.strict and not clean)


COMMAND = Command("check published claims against their own figures", add_arguments, run)
