"""The graph of dvc.yaml without DVC: what waits for what, what is up to date, several stages at a time until a deadline."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

MODULES = [
    "accelerate",
    "huggingface_hub",
    "matplotlib",
    "numpy",
    "peft",
    "PIL",
    "psutil",
    "pydantic",
    "regex",
    "ruamel.yaml",
    "safetensors",
    "tabulate",
    "tokenizers",
    "torch",
    "tqdm",
    "transformers",
]
# Needed where the study's text holds the words.
MODULES_IF = {
    "rouge:": ("absl", "click", "defusedxml", "nltk", "rouge_score", "six"),
    "source: profanity_check": ("joblib", "profanity_check", "scipy", "sklearn"),
    "engine: trl": ("datasets", "trl"),
    "sacrebleu:": ("colorama", "lxml", "portalocker", "sacrebleu"),
    "source: self_instruct": ("absl", "nltk", "rouge_score", "six"),
    "source: vader": ("vaderSentiment",),
    "source: textblob": ("joblib", "nltk", "textblob"),
    "source: gguf": ("gguf",),
}
HASHED = 1 << 20  # larger files count by size and time
POLL = 0.05  # seconds between two looks at what runs


class OfflineError(Exception):
    """One sentence: what is wrong, and the fix."""


def parsed(text: str) -> dict[str, Any]:
    """YAML as the project reads it; the stage `params` says what else is wrong with it."""
    from ruamel.yaml import YAML

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # of a dozen kinds: ruamel lets through what Python says of numbers and dates
        raise OfflineError(f"the study is not valid YAML ({' '.join(str(error).split())[:200]}); mend it.") from None
    if not isinstance(value, dict):
        raise OfflineError("the study must be a mapping of blocks; see studies/miniature.yaml.")
    return value


def parsed_study(name: str) -> dict[str, Any]:
    """A study of studies/ under its own name; the working folder must be the repository's root."""
    path = Path("studies") / f"{name}.yaml"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise OfflineError(f"'{name}' is no study's name; use lower-case letters, digits and '-'.")
    if not Path("dvc.yaml").is_file() or not path.is_file():
        raise OfflineError(
            f"{path} or dvc.yaml does not exist here; name a study and run this at the repository's root."
        )
    study = parsed(path.read_text(encoding="utf-8", errors="replace"))
    for part in ("checkpoints", "variants"):
        blocks = study.get(part)
        if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
            raise OfflineError(f"{path}: {part}: must be a mapping of named blocks; correct it.")
    return study


def check_modules(text: str, site: Path) -> None:
    """Refuse to start where an import would fail minutes later: of a module, or of what a carried package needs.

    Raises:
        OfflineError: something is missing; the sentence names it.
    """
    wanted = [*MODULES, *(name for words, names in MODULES_IF.items() if words in text for name in names)]
    missing = [name for name in wanted if not there(name)]
    for package in metadata.distributions(path=[str(site)]):
        for line in package.requires or ():
            name = re.match(r"[\w.-]+", line)
            if name and ";" not in line:  # what only some machines or extras need
                try:
                    metadata.distribution(name[0])
                except metadata.PackageNotFoundError:
                    missing.append(f"{name[0]} (for {package.metadata['Name']})")
    if missing:
        raise OfflineError(
            f"this Python lacks {', '.join(missing)}; add the packages to WHEELS in tools/offline_parcel.py and pack again."
        )


def there(module: str) -> bool:
    """Whether a module can be found."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent of a dotted name
        return False


@dataclass(eq=False)
class Job:
    """A process of its own: a stage, or a part of what is measured beside the study."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()
    inputs: Callable[[], str] | None = None  # a digest of what it reads, where that is more than its command
    outs: tuple[Path, ...] = ()
    read: str = ""  # that digest, once all it waits for is done
    state: str = "not started"
    seconds: float = 0.0

    @property
    def done(self) -> bool:
        """Whether its results are there."""
        return self.state in ("ran", "kept")


def stages(study: dict[str, Any], text: str) -> list[Job]:
    """The stages of dvc.yaml (its text) for a study, each after those that write what it reads."""

    def filled(value: str, scope: dict[str, Any]) -> str:
        return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(lookup(scope, match[1])), value)

    def paths(entries: list[Any], scope: dict[str, Any]) -> tuple[Path, ...]:
        return tuple(Path(filled(next(iter(e)) if isinstance(e, dict) else e, scope)) for e in entries)

    found, reads = list[Job](), dict[str, tuple[Path, ...]]()
    for name, block in parsed(text)["stages"].items():
        # A block that the study does not name is empty: dvc.yaml's `vars` say so.
        items = lookup(study, block["foreach"].strip("${}")) or {} if "foreach" in block else {None: None}
        for key, item in items.items():
            scope, body = study | {"key": key, "item": item}, block.get("do", block)
            command = shlex.split(filled(body["cmd"], scope))
            full = name if key is None else f"{name}@{key}"
            reads[full] = deps = paths(body.get("deps", []), scope)
            job = Job(
                full,
                (sys.executable, *command[1:]) if command[0] == "python" else tuple(command),
                environment={"DVC_STAGE": full},
                outs=paths([*body.get("outs", []), *body.get("metrics", [])], scope),
            )
            job.inputs = lambda command=command, deps=deps: digest(command, deps)  # type: ignore[misc]
            found.append(job)
    for job in found:
        job.after = tuple(one.name for one in found if one is not job and feeds(one.outs, reads[job.name]))
    return found


def feeds(outs: Sequence[Path], deps: Sequence[Path]) -> bool:
    """Whether one of the outputs is, holds or lies in one of the dependencies."""
    return any(out.is_relative_to(dep) or dep.is_relative_to(out) for out in outs for dep in deps)


def lookup(scope: Any, dotted: str) -> Any:
    """`a.b` in nested mappings; None where it is missing."""
    for part in dotted.split("."):
        scope = scope.get(part) if isinstance(scope, dict) else None
    return scope


def digest(command: Sequence[str], deps: Sequence[Path]) -> str:
    """A digest of a command and of what it depends on: small files by content, large ones by size and time."""
    told = list(command)
    for path in deps:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                facts = file.stat()
                small = facts.st_size <= HASHED
                content = (
                    hashlib.sha256(file.read_bytes()).hexdigest() if small else f"{facts.st_size} {facts.st_mtime_ns}"
                )
                told.append(f"{file}:{content}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """What a process is given that needs the carried packages and may stand in another folder."""
    search = os.pathsep.join([str(Path("site").resolve()), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    shared = {"PYTHONPATH": search.rstrip(os.pathsep), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    return os.environ | shared | (more or {})


def run(jobs: Sequence[Job], stamps: Path, logs: Path, deadline: float, at_once: int) -> None:
    """Run each job once those it waits for are done, the first of the list first; what runs at the deadline is ended.

    A job that fails stops those alone that wait for it. Every job's `state` and `seconds` say what became of it.
    """
    stamps.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    running, states = dict[Job, tuple[subprocess.Popen[bytes], float]](), {job.name: job for job in jobs}
    try:
        while time.monotonic() < deadline:
            for job, (process, started) in list(running.items()):
                if (code := process.poll()) is not None:
                    del running[job]
                    note(job, code, time.monotonic() - started, stamps, logs)
            ready = [
                job
                for job in jobs
                if job.state == "not started"
                and job not in running
                and all(states[name].done for name in job.after if name in states)
            ]
            if not ready and not running:
                break
            for job in ready:
                job.read = job.read or (job.inputs() if job.inputs else digest(job.command, ()))
            if any(kept(job, stamps) for job in ready):
                continue  # before anything takes a place: what waits for them may be kept too
            for job in ready[: at_once - len(running)]:
                running[job] = (start(job, stamps, logs), time.monotonic())
            time.sleep(POLL)
    finally:
        for job, (process, started) in running.items():
            end(process)
            job.seconds, job.state = round(time.monotonic() - started, 1), "out of time"


def note(job: Job, code: int, seconds: float, stamps: Path, logs: Path) -> None:
    """Keep what became of a job that has ended, and show its last words."""
    job.seconds, job.state = round(seconds, 1), "failed" if code else "ran"
    if not code:
        (stamps / f"{job.name}.json").write_text(json.dumps({"inputs": job.read, "seconds": job.seconds}))
    said = (logs / f"{job.name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"{job.name}: {job.state}, {job.seconds} s", *said[-25 if code else -1 :], sep="\n  ", flush=True)


def kept(job: Job, stamps: Path) -> bool:
    """Whether an earlier call did the job with the same inputs; if so it says so in its state."""
    stamp = stamps / f"{job.name}.json"
    old = json.loads(stamp.read_text()) if stamp.is_file() else {}
    if old.get("inputs") != job.read or not all(path.exists() for path in job.outs):
        return False
    job.state, job.seconds = "kept", old["seconds"]
    return True


def start(job: Job, stamps: Path, logs: Path) -> subprocess.Popen[bytes]:
    """Start a job's process; as DVC does, without what an older run left: that is no result of this one."""
    (stamps / f"{job.name}.json").unlink(missing_ok=True)
    for path in job.outs:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    with (logs / f"{job.name}.log").open("wb") as log:
        return subprocess.Popen(
            job.command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(job.environment),
            cwd=job.folder,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started, or they would hold the GPU's memory."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
