"""Set up this project's own environment and run a command in it. Needs Python 3.11 or newer and git, nothing else.

python3 run.py            set up, then `dvc repro`: the whole study
python3 run.py test       set up, then the tests
python3 run.py COMMAND…   set up, then any command of the environment (dvc, bench, python, pytest, …)
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".venv"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"


def set_up() -> None:
    """Make `.venv` and install the locked packages; a no-op while lock and pyproject are unchanged."""
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = HOME / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("setting up .venv from requirements.lock (minutes the first time)", flush=True)
    if not (BIN / "pip").exists() and not (BIN / "pip.exe").exists():
        venv.create(HOME, with_pip=True, clear=True)
    install = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-r", str(LOCK)], check=True)
    subprocess.run([*install, "--no-deps", "--editable", str(ROOT)], check=True)
    stamp.write_text(wanted)


def git_problem() -> str | None:
    """Say why DVC could not work here, in one sentence with a fix; None where git is well."""
    try:
        done = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "git is missing, and DVC needs it; install git."
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split())
    if "dubious ownership" in said:
        return f"git: {said.split(' To add')[0]}; run: git config --global --add safe.directory {ROOT}"
    fix = "clone the project, or make one here: git init && git add -A && git commit -m start"
    return f"this folder is no git repository, which DVC needs ({said}); {fix}"


def main() -> int:
    """Run the command given, in the environment and at the root of the project."""
    if sys.version_info < (3, 11):
        return _fail(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; run it with a newer python3.")
    if problem := git_problem():  # before minutes of installation
        return _fail(problem)
    try:
        set_up()
    except subprocess.CalledProcessError as error:
        return _fail(
            f"the installation stopped (pip's exit status {error.returncode}; see above); run the command again."
        )
    words = sys.argv[1:] or ["dvc", "repro"]
    if words == ["test"]:
        words = ["python", "-m", "pytest"]
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, "VIRTUAL_ENV": str(HOME)}
    if words[0] == "dvc":  # a kill may have cut what DVC writes in place
        subprocess.run([str(BIN / "bench"), "mend"], cwd=ROOT, env=environment)
    program = BIN / words[0]
    return subprocess.run(
        [str(program) if program.exists() else words[0], *words[1:]], cwd=ROOT, env=environment
    ).returncode


def _fail(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
