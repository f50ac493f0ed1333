"""`bench view`: every summary of the active study in one HTML file, to read."""

from __future__ import annotations

import argparse
import os
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
    path = FOLDER / f"{params.study}.html" if given.out is None else given.out
    if not path.name:
        raise UserError("--out: names no file; write one, for example --out page.html.")
    if not params.report.texts and _kept_by_git(path):
        fix = (
            f"leave --out away, which writes {FOLDER}/{params.study}.html"
            if given.out
            else f"add the line /{FOLDER}/ to .gitignore"
        )
        raise UserError(
            f"{path}: the study keeps its texts out of what is published (params.yaml: report.texts: false), and git does not "
            f"ignore that file; {fix}."
        )
    storage.write_output(path, viewer.build(params))
    print(f"view: what every system wrote, to open in a browser -> {path}")
    return 0


def _kept_by_git(path: Path) -> bool:
    """Whether the repository that a file lies in, if it lies in one, would commit it; not always the one we stand in."""
    target = path.resolve()
    folder = next(parent for parent in target.parents if parent.is_dir())
    command = ["git", "-C", str(folder), "check-ignore", "-q", "--", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    except OSError as error:
        raise UserError(
            f"git does not start ({error.strerror}), and {path} may only be written if git ignores it; install git."
        ) from None
    return done.returncode != 0 and "not a git repository" not in done.stderr


COMMAND = Command("write every summary of the active study into one HTML file, to read", add_arguments, run)
