"""What made these numbers: revision, settings, data, models, versions, machine, seeds."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.core import paths, storage
from bench.report.markdown import bullets, cell, code
from bench.report.study import Study

# What the numbers pass through; versions are asked of the installer's records, nothing is imported.
LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "trl",
    "datasets",
    "evaluate",
    "rouge_score",
    "nltk",
    "alt-profanity-check",
    "vaderSentiment",
    "textblob",
    "scikit-learn",
    "numpy",
    "pydantic",
    "matplotlib",
    "dvc",
)
# Written by the run itself, so never the reason for calling a revision changed.
WRITTEN = (":(exclude)reports", ":(exclude)dvc.lock")


def provenance(study: Study) -> str:
    """List what made the numbers."""
    params = study.params
    rows = [("revision", code(revision()))]
    if paths.PARAMS.exists():
        rows.append((cell(paths.PARAMS), code(f"sha256 {storage.sha256_file(paths.PARAMS)}")))
    test = paths.split_path("test")
    rows += [("data", code(_dump(params.data))), (cell(test), code(f"sha256 {storage.sha256_file(test)}"))]
    rows += [(f"checkpoint {cell(name)}", code(_dump(block))) for name, block in params.checkpoints.items()]
    seeds = {"study": params.seed, "generation": params.generation.seed, "report": params.report.seed}
    parts = [f"{name} {seed}" for name, seed in seeds.items()]
    for name in params.variants:
        parts.append(" ".join([name, *(str(training.seed) for training in params.trainings_of(name))]))
    rows.append(("seeds", cell(", ".join(parts))))
    rows.append(("statistics", f"{params.report.resamples:,} resamples and sign flips, dialogues as clusters"))
    rows += [(name, cell(value)) for name, value in machine(study).items()]
    rows.append(("libraries", cell(", ".join(f"{name} {version}" for name, version in versions().items()))))
    return bullets(rows)


def revision() -> str:
    """Return the commit, and `with uncommitted changes` where files beside the run's own outputs differ from it."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return "not a git commit"
    changed = _git("status", "--porcelain", "--", ".", *WRITTEN)
    return f"{commit}, with uncommitted changes" if changed else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(("git", *arguments), capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Look up the installed versions of the libraries that the numbers pass through."""
    known = {}
    for library in LIBRARIES:
        try:
            known[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return known


def machine(study: Study) -> dict[str, str]:
    """Describe Python, system, processor, GPU."""
    compute = study.params.compute
    facts = {
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores, {compute.threads} used, training in {compute.precision}{', tf32' * compute.tf32}{', compiled' * compute.compile}, writing and scoring in {compute.arithmetic}",
    }
    gpus = sorted({str(cost["gpu_name"]) for cost in study.costs.values() if cost.get("gpu_name")})
    return facts | ({"GPU": ", ".join(gpus)} if gpus else {})


def _processor() -> str:
    """The processor's name: Linux keeps it in /proc, elsewhere Python may know it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for text in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if text.lower().startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _dump(block: Any) -> str:
    return json.dumps(block.model_dump(mode="json"), ensure_ascii=False)
