"""Where a state of the project is read from: the working tree, a git revision, or a report's folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

from bench.core import paths
from bench.core.schema import UserError


class NotComparable(UserError):  # noqa: N818 - an answer of the gate, not a defect
    """Two states cannot be compared honestly; the gate's exit code is 2 and no verdict is given."""


class Source(Protocol):
    """Reads files of one state; None where a file does not exist. `name` is how messages call the state."""

    name: str
    # Whether the state is a project (with params.yaml and dvc.lock) or only a report.
    is_project: bool

    def project(self, path: Path) -> bytes | None:
        """Read a file of the project, by its path from the root."""

    def report(self, study: str, file: str) -> bytes | None:
        """Read a file of a study's report."""

    def where(self, study: str, file: str) -> str:
        """Tell how messages call a file of the report."""


class Tree:
    """The working tree."""

    name, is_project = "the working tree", True

    def project(self, path: Path) -> bytes | None:
        return _read(path)

    def report(self, study: str, file: str) -> bytes | None:
        return self.project(paths.report_dir(study) / file)

    def where(self, study: str, file: str) -> str:
        return str(paths.report_dir(study) / file)


class Folder:
    """A report lying anywhere: `metrics` is its metrics.json, whatever it is called, the rest lies beside it."""

    is_project = False

    def __init__(self, metrics: Path) -> None:
        self.metrics, self.name = metrics, str(metrics)

    def project(self, path: Path) -> bytes | None:
        return None

    def report(self, study: str, file: str) -> bytes | None:
        return _read(self._path(file))

    def where(self, study: str, file: str) -> str:
        return str(self._path(file))

    def _path(self, file: str) -> Path:
        return self.metrics if file == "metrics.json" else self.metrics.with_name(file)


class Revision:
    """A git revision; paths are taken from the current folder, as in the working tree."""

    is_project = True

    def __init__(self, given: str) -> None:
        self.given = given
        self.commit = _commit(given)
        self.name = given if self.commit.startswith(given) else f"{given} ({self.commit[:7]})"

    def project(self, path: Path) -> bytes | None:
        done = _git("show", f"{self.commit}:./{path.as_posix()}")
        if done.returncode == 0:
            return done.stdout
        # `git show` fails alike for a path that is not there and for a clone that lacks its content.
        listed = _git("ls-tree", self.commit, "--", f"./{path.as_posix()}")
        if listed.returncode == 0 and not listed.stdout.strip():
            return None
        raise NotComparable(
            f"git cannot read {path} of revision '{self.given}'; fetch the whole history (fetch-depth: 0)."
        )

    def report(self, study: str, file: str) -> bytes | None:
        return self.project(paths.report_dir(study) / file)

    def where(self, study: str, file: str) -> str:
        return f"{paths.report_dir(study) / file} of revision {self.name}"


def locate(given: str | None) -> Source:
    """Find the state that a user names: nothing for the working tree, a report's folder or file, else a revision.

    Raises:
        NotComparable: there is no such file, folder or revision.
    """
    if given is None:
        return Tree()
    path = Path(given)
    if path.is_file():
        return Folder(path)
    if (path / "metrics.json").is_file():
        return Folder(path / "metrics.json")
    if path.suffix == ".json":
        raise NotComparable(f"{given} does not exist; name a report's metrics.json, its folder, or a git revision.")
    return Revision(given)


def _commit(given: str) -> str:
    """The commit that a revision names."""
    if not given or given.startswith("-"):
        raise NotComparable(f"'{given}' is no revision; name a commit, a branch, a tag or a report's metrics.json.")
    asked = _git("rev-parse", "--git-dir")
    if asked.returncode != 0:
        said = " ".join(asked.stderr.decode(errors="replace").split())
        raise NotComparable(
            f"'{given}' is no report and git finds no git repository of yours here ({said:.200}); run it at the project's "
            "root, as its owner."
        )
    done = _git("rev-parse", "--verify", "--quiet", f"{given}^{{commit}}")
    if done.returncode == 0:
        return done.stdout.decode().strip()
    if _git("rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
        raise NotComparable(
            f"this clone is shallow and lacks revision '{given}'; check out with fetch-depth: 0, or run "
            "`git fetch --unshallow`."
        )
    raise NotComparable(f"there is no revision '{given}'; name a commit, a branch, a tag or a report's metrics.json.")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotComparable(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(("git", *arguments), capture_output=True, timeout=60, check=False)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotComparable(f"git cannot be run ({error}); install git, or name a report's metrics.json.") from None
