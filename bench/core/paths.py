"""Where every file of a study lies, relative to the project's root."""

from __future__ import annotations

from pathlib import Path

from bench.core.schema import UserError

SPLITS = ("train", "validation", "test")
DATA, MODELS, CURVES, PREDICTIONS, SCORES, COSTS, CHECKED = (
    Path(name) for name in ("data", "models", "curves", "predictions", "scores", "costs", "checked")
)
REPORTS, STUDIES, PARAMS = Path("reports"), Path("studies"), Path("params.yaml")

# Rows of the table that no model wrote: the first three turns, and one human reference held against the others.
YARDSTICKS = ("lead-3", "human")


def split_path(split: str) -> Path:
    """Where the examples of one split lie."""
    return DATA / f"{split}.jsonl"


def model_path(name: str) -> Path:
    """The folder of a checkpoint or a trained variant."""
    return MODELS / name


def training_name(variant: str, seed: int) -> str:
    """What a variant's further training with `seed` is called: its folder lies in that of the first training."""
    return f"{variant}/seed-{seed}"


def curve_path(name: str) -> Path:
    """The training curve of a variant: one row a logged step. A further training's lies beside its folder of weights."""
    return (MODELS if "/" in name else CURVES) / f"{name}.csv"


def predictions_path(variant: str) -> Path:
    """Where the summaries of a variant lie."""
    return PREDICTIONS / f"{variant}.jsonl"


def scores_path(variant: str) -> Path:
    """Where the score rows of a variant lie, all metrics in one file."""
    return SCORES / f"{variant}.jsonl"


def signatures_path(variant: str) -> Path:
    """Where the signature of each column of a variant's scores lies, and the sizes of its model."""
    return SCORES / f"{variant}.meta.json"


def counts_path() -> Path:
    """How many dialogues each split holds and how many were dropped from it."""
    return DATA / "counts.json"


def lengths_path() -> Path:
    """How many dialogues and references of each split the limits on tokens cut, by start."""
    return CHECKED / "lengths.json"


def report_dir(study: str) -> Path:
    """The folder in git that holds a study's report."""
    return REPORTS / study


def study_path(study: str) -> Path:
    """The file of a study; one that is not there is the user's error, which names those that are."""
    path = STUDIES / f"{study}.yaml"
    known = sorted(file.stem for file in STUDIES.glob("*.yaml"))
    if study not in known:  # which no path is
        shown = ", ".join(known) or "none here"
        raise UserError(f"{path} does not exist; studies: {shown}. Run the command at the project's root.")
    return path
