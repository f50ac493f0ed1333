"""`bench view`: every summary of the active study in one HTML file, to read."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

from bench import config
from bench.commands import Command
from bench.core import storage
from bench.core.schema import UserError

FOLDER = Path("view")  # ignored by git


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"where the page goes ({FOLDER}/STUDY.html)")


def run(given: argparse.Namespace) -> int:
    """Write the page of the active study.

    Raises:
        UserError: there is no report, or texts that may not be published would go into a file that git keeps.
    """
    from bench import viewer

    params = config.read()
    path = given.out or FOLDER / f"{params.study}.html"
    if not params.report.texts and not _ignored(path):
        raise UserError(
            f"--out: {path}: the study keeps texts out of what is published (report.texts: false), and git does not ignore "
            f"that file; leave --out away, which writes {FOLDER}/{params.study}.html."
        )
    storage.write_text(path, viewer.build(params))
    print(f"view: {path}; open it in a browser")
    return 0


def _ignored(path: Path) -> bool:
    """Whether git ignores a path; one outside the repository is nobody's to commit."""
    try:
        done = subprocess.run(["git", "check-ignore", "-q", str(path)], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 or "outside repository" in done.stderr


COMMAND = Command("write every summary of the active study into one HTML file, to read", add_arguments, run)
