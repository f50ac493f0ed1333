"""A tiny study in a copy of the project, with its own git and DVC, for tests that run the graph for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SMALL_TRAINING = {"steps": 4, "batch_size": 4}


def tiny() -> dict[str, Any]:
    """The hermetic study with everything cut to a few steps, and three variants in a chain."""
    raw = YAML(typ="safe").load((ROOT / "studies" / "miniature.yaml").read_text())
    raw["data"] |= {"train": 24, "validation": 4, "test": 8}
    raw["checkpoints"]["base"] |= {
        "pool": 60,
        "training": SMALL_TRAINING,
        "shape": {"d_model": 32, "d_kv": 8, "d_ff": 32},
    }
    for name in ("reward", "judge"):
        raw["checkpoints"][name] |= {"training": {"texts": 60, "steps": 4}, "shape": {"hidden": 16, "layers": 1}}
    raw["text"]["max_target_tokens"] = raw["generation"]["max_new_tokens"] = 12
    variants = raw["variants"]
    variants["lora"]["optim"] |= {"steps": 3, "batch_size": 4}
    variants["ppo"] |= {"init": "lora", "iterations": 1, "batch_size": 4, "minibatch_size": 4, "max_new_tokens": 8}
    raw["variants"] = {name: variants[name] for name in ("baseline", "lora", "ppo")}
    raw["report"]["resamples"] = 200
    raw["compute"]["threads"] = 1
    return raw


class Project:
    """A copy of the tracked files with its own git and DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file() and not name.startswith(("reports/", "tests/")) and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.params(tiny())
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
        for key, value in (
            ("user.name", "t"),
            ("user.email", "t@t"),
        ):  # `dvc exp` asks for them; a machine may have none
            subprocess.run(["git", "config", key, value], cwd=folder, check=True)
        self.commit("start")

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        subprocess.run(["git", "add", "-A"], cwd=self.folder, check=True)
        author = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *author, "commit", "-qm", message, "--allow-empty"], cwd=self.folder, check=True)

    def params(self, raw: dict[str, Any]) -> None:
        with (self.folder / "params.yaml").open("w") as file:
            YAML().dump(raw, file)

    def bench(self, *words: str) -> tuple[int, str]:
        """Exit status and standard output of a `bench` command."""
        call = [sys.executable, "-c", "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))", *words]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        done = subprocess.run(call, cwd=self.folder, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Begin a dvc command in this project, in a process group of its own."""
        environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
            "COLUMNS": "300",
        }
        command = [sys.executable, "-m", "dvc", *words]
        return subprocess.Popen(command, cwd=self.folder, text=True, env=environment, start_new_session=True, **options)

    def dvc(self, *words: str, check: bool = True) -> str:
        process = self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, errors = process.communicate()
        assert not check or process.returncode == 0, out[-3000:] + errors[-3000:]
        return out + errors

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def forget(self) -> None:
        """Remove every result, DVC's cache and its notes, as in a fresh clone."""
        for name in ("data", "models", "curves", "predictions", "scores", "reports", "work", ".dvc/cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self.folder / ".dvc" / "tmp", ignore_errors=True)
        (self.folder / "dvc.lock").unlink(missing_ok=True)
