"""The graph of dvc.yaml without DVC: order, what is up to date, one process a stage, what is handed back."""

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
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
VERSIONS = "torch transformers accelerate peft numpy tokenizers safetensors pydantic scikit-learn alt-profanity-check"
HASHED = 1 << 20  # larger files count by size and time
MOST = 16 << 20  # bytes of one file handed back


class OfflineError(Exception):
    """One sentence: what is wrong, and the fix."""


def study_text(name: str) -> str:
    """The study's file; the working folder must be the repository's root."""
    path = Path("studies") / f"{name}.yaml"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise OfflineError(f"'{name}' is no study's name; use lower-case letters, digits and '-'.")
    if not Path("dvc.yaml").is_file() or not path.is_file():
        raise OfflineError(
            f"{path} or dvc.yaml does not exist here; name a study and run this at the repository's root."
        )
    return path.read_text(encoding="utf-8", errors="replace")


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
    """A study under its own name: its results go into folders that are called so."""
    study = parsed(study_text(name))
    if study.get("study") != name:
        raise OfflineError(f"studies/{name}.yaml: study: must be the file's name, '{name}'; correct it.")
    for part in ("checkpoints", "variants"):
        blocks = study.get(part)
        if not isinstance(blocks, dict) or not all(isinstance(block, dict) for block in blocks.values()):
            raise OfflineError(f"studies/{name}.yaml: {part}: must be a mapping of named blocks; correct it.")
    return study


def check_modules(text: str) -> None:
    """Refuse to start where an import would fail hours later."""
    wanted = [*MODULES, *(name for words, names in MODULES_IF.items() if words in text for name in names)]
    missing = []
    for name in wanted:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:  # the parent of a dotted name
            found = None
        missing += [] if found else [name]
    if missing:
        raise OfflineError(
            f"this Python lacks {', '.join(missing)}; add the wheels to WHEELS in tools/offline_run.py, pack and unpack again."
        )


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml with its templates filled in."""

    name: str
    command: tuple[str, ...]
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    def costs(self) -> dict[str, Any]:
        """What the stage's last run took, as it wrote it beside the graph."""
        found = sorted(Path("costs", *self.name.split("@")).glob("*.json"), key=lambda path: path.stat().st_mtime)
        return json.loads(found[-1].read_text(encoding="utf-8")) if found else {}

    def inputs(self, study: dict[str, Any]) -> str:
        """A digest of the command, the parameters and the dependencies."""
        values = [lookup(study, key) for key in self.params]
        told = [self.command, self.params, values, [(dep, fingerprint(Path(dep))) for dep in self.deps]]
        return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()


def lookup(scope: Any, dotted: str) -> Any:
    """`a.b` in nested mappings; None where it is missing."""
    for part in dotted.split("."):
        scope = scope.get(part) if isinstance(scope, dict) else None
    return scope


def fingerprint(path: Path) -> list[str]:
    """Small files by content, large ones by size and time of change; a folder by all its files."""
    found = []
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and "__pycache__" not in file.parts:
            facts = file.stat()
            small = facts.st_size <= HASHED
            found.append(
                f"{file}:{hashlib.sha256(file.read_bytes()).hexdigest() if small else (facts.st_size, facts.st_mtime_ns)}"
            )
    return found


def graph(study: dict[str, Any], text: str) -> list[Stage]:
    """The stages of dvc.yaml (its text) for a study, in an order in which each finds what it reads."""

    def filled(value: str, scope: dict[str, Any]) -> str:
        return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(lookup(scope, match[1])), value)

    def paths(entries: list[Any], scope: dict[str, Any]) -> tuple[str, ...]:
        return tuple(filled(next(iter(e)) if isinstance(e, dict) else e, scope) for e in entries)

    found = []
    for name, block in parsed(text)["stages"].items():
        # A block that the study does not name is empty: dvc.yaml's `vars` say so.
        items = lookup(study, block["foreach"].strip("${}")) or {} if "foreach" in block else {None: None}
        for key, item in items.items():
            scope, body = study | {"key": key, "item": item}, block.get("do", block)
            command = shlex.split(filled(body["cmd"], scope))
            found.append(
                Stage(
                    name if key is None else f"{name}@{key}",
                    (sys.executable, *command[1:]) if command[0] == "python" else tuple(command),
                    paths(body.get("deps", []), scope),
                    paths([*body.get("outs", []), *body.get("metrics", [])], scope),
                    paths(body.get("params", []), scope),
                )
            )

    def feeds(one: Stage, other: Stage) -> bool:
        pairs = [(out, dep) for out in one.outs for dep in other.deps]
        return any(a == b or a.startswith(b + "/") or b.startswith(a + "/") for a, b in pairs)

    ordered: list[Stage] = []
    while len(ordered) < len(found):
        waiting = [stage for stage in found if stage not in ordered]
        ready = [s for s in waiting if not any(feeds(other, s) for other in waiting if other is not s)]
        if not ready:
            raise OfflineError(
                f"dvc.yaml: {', '.join(s.name for s in waiting)} wait for each other; mend the variants' init."
            )
        ordered.append(ready[0])
    return ordered


@dataclass
class Row:
    """A line of timings.csv."""

    stage: Stage
    state: str
    seconds: float

    def line(self) -> str:
        """CSV; costs come from what the stage wrote."""
        costs = self.stage.costs()
        peaks = [str(costs.get(key, "")) for key in ("peak_gpu_bytes", "peak_resident_bytes")]
        return ",".join([self.stage.name, self.state, f"{self.seconds:.1f}", *peaks])


def run(name: str, store: Path, out: Path, budget: float | None) -> None:
    """Every stage that is out of date, then what exists into `out`.

    Raises:
        OfflineError: packages are missing, a stage failed, or the budget does not hold the rest.
    """
    began, text, site = time.monotonic(), study_text(name), store / "site"
    sys.path.insert(0, str(site))
    check_modules(text)
    study, params = parsed_study(name), Path("params.yaml")
    stages = graph(study, Path("dvc.yaml").read_text(encoding="utf-8"))
    active = completed(name, text)
    if not params.is_file() or params.read_text(encoding="utf-8") != active:
        params.write_text(active, encoding="utf-8")
        print(f"params.yaml is now studies/{name}.yaml", flush=True)
    stamps = store / "stamps" / name
    stamps.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    trouble, rows = "", list[Row]()
    try:
        for stage in stages:
            trouble = _one(stage, study, rows, stamps, site, out, budget and budget - (time.monotonic() - began))
            if trouble:
                break
    finally:
        collect(str(study["study"]), rows, out)
    if trouble:
        raise OfflineError(trouble)
    print(f"{len(rows)} stages are done; results in {out}")


def completed(name: str, text: str) -> str:
    """The study as `bench use` would make it active; as it stands where it is not right, which the first stage says."""
    sys.path.insert(0, str(Path.cwd()))
    from bench import config
    from bench.config import sources
    from bench.core.schema import UserError

    try:
        return sources.completed(text, config.parse(parsed_study(name), f"studies/{name}.yaml"))
    except UserError:
        return text


def _one(
    stage: Stage, study: dict[str, Any], rows: list[Row], stamps: Path, site: Path, out: Path, left: float | None
) -> str:
    """Run one stage unless it is up to date; the sentence that ends the run, or nothing."""
    stamp, inputs = stamps / f"{stage.name}.json", stage.inputs(study)
    old = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
    if old.get("inputs") == inputs and all(Path(path).exists() for path in stage.outs):
        rows.append(Row(stage, "kept", old["seconds"]))
        return ""
    longest = max((row.seconds for row in rows), default=0.0)
    if left is not None and left < max(longest, 1.0):
        return (
            f"stopped before {stage.name}: {max(left, 0):.0f} s are left and the longest stage so far took "
            f"{longest:.0f} s; run the command again to go on."
        )
    stamp.unlink(missing_ok=True)
    for path in map(Path, stage.outs):  # as DVC does: what an older run left is no result of this one
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    started = time.monotonic()
    code = logged(stage.name, stage.command, out / "log.txt", environment(site) | {"DVC_STAGE": stage.name}, left)
    seconds = time.monotonic() - started
    rows.append(Row(stage, "ran" if code == 0 else "out of time" if code is None else "failed", round(seconds, 1)))
    print(f"{stage.name}: {rows[-1].state}, {seconds:.1f} s with its start", flush=True)
    if code is None:
        return f"{stage.name} outran the budget and was ended; run again with a larger --budget or a smaller study."
    if code:
        return f"{stage.name} failed with exit status {code}; see log.txt."
    stamp.write_text(json.dumps({"inputs": inputs, "seconds": round(seconds, 1)}), encoding="utf-8")
    return ""


def environment(site: Path) -> dict[str, str]:
    """What a process is given that needs the carried packages."""
    search = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}


def logged(
    name: str,
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str],
    left: float | None,
    folder: Path | None = None,
) -> int | None:
    """The exit status of a command, None where it outran `left` seconds; its words go to `log`, the last are shown.

    A process that is ended is ended with all that it has started, or they would hold the GPU's memory.
    """
    with log.open("a+b") as file:
        file.write(f"# {name}\n".encode())
        file.flush()
        start = file.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
        try:
            code: int | None = process.wait(left)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        file.seek(start)
        said = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    print("\n".join(said[-1:] if code == 0 else said[-25:]), flush=True)
    return code


def collect(study: str, rows: list[Row], out: Path) -> None:
    """What there is of a study into `out`: at most eight files, none larger than MOST."""
    table = ["stage,state,seconds,peak_gpu_bytes,peak_resident_bytes", *(row.line() for row in rows)]
    (out / "timings.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    asked = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.strip() or "none"
    except (OSError, subprocess.SubprocessError):
        gpu = "none"
    facts = {"gpu": gpu, "python": sys.version.split()[0], "cores": os.cpu_count()}
    for name in VERSIONS.split():
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "none"
    (out / "machine.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    report = Path("reports") / study
    for path in (report / "report.md", report / "metrics.json", report / "costs.json"):
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    for name, folders in (
        ("report", [report]),
        ("work", [Path(p) for p in ("predictions", "scores", "curves", "costs")]),
    ):
        with tarfile.open(out / f"{name}.tar.xz", "w:xz") as tar:
            for folder in folders:
                if folder.exists():
                    tar.add(folder, folder.as_posix())
    for path in sorted(out.iterdir()):
        if path.is_file() and path.stat().st_size > MOST:
            print(f"{path.name} is left out: {path.stat().st_size >> 20} MiB")
            path.unlink()
