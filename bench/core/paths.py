"""Where every file of a study lies, relative to the project's root."""

from __future__ import annotations

from pathlib import Path

from bench.core.schema import UserError

SPLITS = ("train", "validation", "test")
DATA, MODELS, CURVES, PREDICTIONS, SCORES, COSTS, CHECKED = (
    Path(name) for name in ("data", "models", "curves", "predictions", "scores", "costs", "checked")
)
PREFERENCES, TRAINING_SETS = Path("preferences"), Path("training_sets")
PROGRESS = "progress.jsonl"  # beside the weights: what a policy wrote on the way
REPORTS, STUDIES, PARAMS = Path("reports"), Path("studies"), Path("params.yaml")

# Rows of the table that no model wrote: the first three turns, and one human reference held against the others.
YARDSTICKS = ("lead-3", "human")


def in_an_experiment(absolute: bool = True) -> str:
    """Say, to end a sentence with, that a file may be missing because DVC runs an experiment in a copy of what git keeps.

    `dvc exp run --temp` and `dvc queue` do; empty elsewhere. Not every field takes an `absolute` path.
    """
    if "/.dvc/tmp/exps/" not in f"{Path.cwd().as_posix()}/":
        return ""
    named = "name the file by its absolute path, or " if absolute else ""
    return (
        f" (this experiment runs in a copy of the project, which lacks what git ignores, local/ too: {named}run it without --temp "
        "and without the queue)"
    )


def split_path(split: str) -> Path:
    """Return where the examples of one split lie."""
    return DATA / f"{split}.jsonl"


def model_path(name: str) -> Path:
    """Return the folder of a checkpoint or a trained variant."""
    return MODELS / name


def preferences_path(name: str, split: str) -> Path:
    """Return where the rankings of one split of a block of `preferences` lie."""
    return PREFERENCES / name / f"{split}.jsonl"


def about_preferences_path(name: str) -> Path:
    """Return where a block of `preferences` is counted, with what is known of its judge."""
    return CHECKED / "preferences" / f"{name}.json"


def training_set_path(name: str) -> Path:
    """Return where the examples of a block of `training_sets` lie."""
    return TRAINING_SETS / f"{name}.jsonl"


def about_training_set_path(name: str) -> Path:
    """Return where a block of `training_sets` is counted, with what was left out."""
    return CHECKED / "training_sets" / f"{name}.json"


def reward_path(name: str) -> Path:
    """Return where the digest of a reward model lies, and how often it is right."""
    return CHECKED / "rewards" / f"{name}.json"


def training_name(variant: str, seed: int) -> str:
    """Return what a variant's further training with `seed` is called: its folder lies in that of the first training."""
    return f"{variant}/seed-{seed}"


def elsewhere(dataset: str, variant: str | None = None) -> str:
    """Return what another dataset's test split is called, or a variant's summaries and scores on it."""
    return f"on/{dataset}" if variant is None else f"on/{dataset}/{variant}"


def curve_path(name: str) -> Path:
    """Return where the training curve of a variant lies. A further training's lies beside its folder of weights."""
    return (MODELS if "/" in name else CURVES) / f"{name}.csv"


def predictions_path(variant: str) -> Path:
    """Return where the summaries of a variant lie."""
    return PREDICTIONS / f"{variant}.jsonl"


def scores_path(variant: str) -> Path:
    """Return where the score rows of a variant lie, all metrics in one file."""
    return SCORES / f"{variant}.jsonl"


def signatures_path(variant: str) -> Path:
    """Return where the signature of each column of a variant's scores lies, and the sizes of its model."""
    return SCORES / f"{variant}.meta.json"


def counts_path() -> Path:
    """Return where the dialogues of each split, and those dropped from it, are counted."""
    return DATA / "counts.json"


def lengths_path() -> Path:
    """Return where the dialogues and references that the token limits truncate are counted, by start and split."""
    return CHECKED / "lengths.json"


def report_dir(study: str) -> Path:
    """Return the folder in git that holds a study's report."""
    return REPORTS / study


def study_path(study: str) -> Path:
    """Return the file of a study; a missing one is the user's error, which names those that are there."""
    path = STUDIES / f"{study}.yaml"
    known = sorted(file.stem for file in STUDIES.glob("*.yaml"))
    if study not in known:  # which no path is
        shown = ", ".join(known) or "none here"
        raise UserError(f"{path} does not exist; studies: {shown}. Run the command at the project's root.")
    return path
