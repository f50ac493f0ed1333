"""`bench doctor`: what this machine is, and what each study still lacks on it, with the fix. Asks; changes nothing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from bench import config, datasets, methods, preferences, training_sets
from bench.commands import Command
from bench.core import hub, paths
from bench.core.blocks import CheckpointConfig, ComputeConfig, DatasetConfig
from bench.core.schema import UserError

LOCK = Path("requirements.lock")
ROOM = 10 * 2**30  # bytes: flan-t5-base, a classifier and a fully tuned variant, in the hub's cache, in DVC's and here
SHOWN = 5  # packages named before the rest is counted


class Fact(NamedTuple):
    """One property of the machine; `fix` says what to do where it may stand in the way."""

    what: str
    found: str
    fix: str = ""


class GPU(NamedTuple):
    """A GPU that torch sees; memory in bytes."""

    name: str
    memory: int
    bfloat16: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--study", help="look at this study alone; exit with 1 when it lacks something")
    parser.add_argument("--json", action="store_true", help="write JSON in place of tables")


def run(given: argparse.Namespace) -> int:
    """Print machine and studies."""
    cards = gpus()
    files = [paths.study_path(given.study)] if given.study else sorted(paths.STUDIES.glob("*.yaml"))
    facts, studies = machine(cards), {path.stem: lacking(path, cards) for path in files}
    print(_json(facts, studies) if given.json else _tables(facts, studies))
    return int(bool(given.study and studies[given.study]))


def gpus() -> list[GPU]:
    """List the GPUs that torch sees; bfloat16 counts where the hardware computes in it."""
    try:
        import torch
    except ImportError:
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(GPU(card.name, card.total_memory, card.major >= 8))
    return found


def machine(cards: list[GPU]) -> list[Fact]:
    """Describe what a run here has at its disposal."""
    import psutil

    away = hub.unreachable()
    memory, free = psutil.virtual_memory(), shutil.disk_usage(Path.cwd()).free
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        Fact("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        _packages(),
        _git(),
        Fact("cores", str(cores)),
        Fact("memory", f"{_size(memory.total)}, {_size(memory.available)} free"),
        Fact(
            "disk", f"{_size(free)} free", "" if free >= ROOM else f"a study of flan-t5-base takes up to {_size(ROOM)}"
        ),
        _gpu(cards),
        Fact(
            "hub",
            f"{hub.address()} answers" if away is None else f"{hub.address()} cannot be reached ({away})",
            ""
            if away is None
            else "a study of local files needs none; for others copy the cache of a machine that reaches it",
        ),
        Fact(
            "token",
            "there is one" if _has_token() else "none",
            "" if _has_token() else "only gated or private models and data need one: `hf auth login`",
        ),
    ]


def _git() -> Fact:
    """Whether git knows who commits: `dvc exp` stops without."""
    asked = [_git_config(f"user.{key}") for key in ("name", "email")]
    if all(asked):
        return Fact("git", "knows who commits")
    fix = "`dvc exp run` and commits need it: git config user.name NAME && git config user.email ADDRESS"
    return Fact("git", "does not know who commits", fix)


def _git_config(key: str) -> str:
    try:
        return subprocess.run(["git", "config", key], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def lacking(path: Path, cards: list[GPU]) -> list[str]:
    """List what stands in the way of a study on this machine, each with its fix; nothing when it can run."""
    try:
        params = config.read(path)
    except UserError as error:
        return [str(error)]
    found = _compute(params.compute, cards)
    blocks: list[DatasetConfig | CheckpointConfig] = [params.data, *params.checkpoints.values()]
    for block in blocks:
        try:
            block.check()
        except UserError as error:
            found.append(str(error).removeprefix(f"{paths.PARAMS}: "))
    for name, other in params.evaluate_on.items():
        try:
            other.check()
        except UserError as error:
            found.append(datasets.in_block(str(error), name).removeprefix(f"{paths.PARAMS}: "))
    files = {
        f"variants.{name}": (block.learns_from, "the file of summaries")
        for name, block in params.variants.items()
        if methods.find(block.method).LEARNS_FROM == "outputs"
    }
    files |= {
        f"preferences.{name}": (source.learns_from, "the file of judgements")
        for name, source in params.preferences.items()
        if preferences.find(source.source).LEARNS_FROM == "file"
    }
    files |= {
        f"training_sets.{name}": (made.learns_from, "the file of examples")
        for name, made in params.training_sets.items()
        if training_sets.find(made.source).LEARNS_FROM == "file"
    }
    return found + [
        f"{where}.learns_from: {path} does not exist; put {what} there."
        for where, (path, what) in files.items()
        if not Path(path).is_file()
    ]


def _compute(compute: ComputeConfig, cards: list[GPU]) -> list[str]:
    if compute.device == "cuda" and not cards:
        return [
            "compute.device: 'cuda' is asked for and torch sees no GPU; run it where there is one, or write 'auto'."
        ]
    if compute.device == "cpu" or not cards or cards[0].bfloat16:
        return []
    fields = [field for field in ("precision", "inference") if getattr(compute, field) == "bfloat16"]
    return [f"compute.{field}: {cards[0].name} does not compute in bfloat16; write 'float32'." for field in fields]


def _packages() -> Fact:
    """Installed packages against the lock."""
    from packaging.requirements import Requirement

    if not LOCK.exists():
        return Fact("packages", f"there is no {LOCK} here", "run the command at the project's root")
    pins = [Requirement(line) for line in LOCK.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    wanted, other = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()], []
    for pin in wanted:
        try:
            version = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            version = "missing"
        # A build's own suffix (2.13.0+cpu) does not count; `contains` knows as much.
        if version == "missing" or not pin.specifier.contains(version, prereleases=True):
            other.append(f"{pin.name} {version} (locked {str(pin.specifier).removeprefix('==')})")
    if not other:
        return Fact("packages", f"all {len(wanted)} as in {LOCK}")
    named = ", ".join(other[:SHOWN]) + (f" and {len(other) - SHOWN} more" if len(other) > SHOWN else "")
    return Fact(
        "packages",
        f"{len(other)} of {len(wanted)} are not as locked: {named}",
        f"`python3 run.py python -m pip install -r {LOCK}` installs them",
    )


def _gpu(cards: list[GPU]) -> Fact:
    if cards:
        named = "; ".join(f"{c.name}, {_size(c.memory)}{', bfloat16' * c.bfloat16}" for c in cards)
        return Fact("GPU", f"{named}; {_driver()}")
    if shutil.which("nvidia-smi"):
        return Fact("GPU", "torch sees none, though nvidia-smi is here", "install a CUDA build of torch into .venv")
    return Fact("GPU", "none", "thesis and samsum are made for one, the other studies for a CPU")


def _driver() -> str:
    """The NVIDIA driver and the CUDA that torch was built for: a driver older than that CUDA cannot run it."""
    import torch

    note = Path("/proc/driver/nvidia/version")
    found = re.search(r"Kernel Module\D*([\d.]+)", note.read_text(errors="replace")) if note.exists() else None
    return f"driver {found[1] if found else 'unknown'}, CUDA {torch.version.cuda or 'none'}"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _json(facts: list[Fact], studies: dict[str, list[str]]) -> str:
    about = {fact.what: {"found": fact.found, "fix": fact.fix or None} for fact in facts}
    ready = {name: {"ready": not lacks, "lacks": lacks} for name, lacks in studies.items()}
    return json.dumps({"machine": about, "studies": ready}, indent=2, ensure_ascii=False)


def _tables(facts: list[Fact], studies: dict[str, list[str]]) -> str:
    from tabulate import tabulate

    width = max(shutil.get_terminal_size((120, 40)).columns, 80)
    rows: list[Any] = [
        [name, "no" if lacks else "yes", lack] if index == 0 else ["", "", lack]
        for name, lacks in studies.items()
        for index, lack in enumerate(lacks or [""])
    ]
    return "\n\n".join(
        [
            tabulate(facts, ["this machine", "found", "note"], maxcolwidths=[None, width // 2 - 10, width // 2 - 10]),
            tabulate(rows, ["study", "can run", "what it lacks, and the fix"], maxcolwidths=[None, None, width - 35]),
        ]
    )


COMMAND = Command("what this machine can run, and what each study still needs", add_arguments, run)
