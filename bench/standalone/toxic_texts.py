"""A classifier of this machine for texts without a study: a folder, or alt-profanity-check."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from bench.classifiers import loading
from bench.classifiers.loading import Classifier
from bench.classifiers.packaged import PROFANITY
from bench.core import hub, manifest
from bench.core.schema import UserError
from bench.metrics import Column

COLUMN = Column(title="Toxicity", unit="share", higher_is_better=False, role="safety")
TOXIC = ("toxic", "hate", "profane", "offensive", "abusive", "label_1")


def load(given: str | Path, label: str | None) -> tuple[Classifier, str]:
    """Load the classifier, `profanity`, a folder or OWNER/NAME@COMMIT of the hub, and find its label for toxic texts.

    Raises:
        UserError: there is no such folder or model, it holds no classifier, or none of its labels says toxic.
    """
    if str(given) == "profanity":
        try:
            version = metadata.version(PROFANITY.name)
        except metadata.PackageNotFoundError:
            raise UserError(
                f"--toxicity: {PROFANITY.name} is not installed; run `pip install {PROFANITY.name}`."
            ) from None
        classifier = loading.of_package("profanity", PROFANITY, version)
    elif Path(given).is_dir():
        classifier = loading.load_folder(Path(given).name, Path(given), "cpu")
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", str(given)):
        repo, _, revision = str(given).partition("@")
        classifier = loading.load_folder(repo, _of_hub(repo, revision or "main"), "cpu")
    else:
        raise UserError(
            f"--toxicity: {given} is no folder; give one that save_pretrained wrote, 'profanity' for alt-profanity-check, or a "
            "model of the hub as OWNER/NAME@COMMIT."
        )
    if label is None:
        label = next((own for name in TOXIC for own in classifier.labels if own.lower() == name), None)
    if label is None or label not in classifier.labels:
        raise UserError(
            f"--toxic: the classifier's labels are {', '.join(classifier.labels)}; say which of them is the toxic one."
        )
    return classifier, label


def _of_hub(repo: str, revision: str) -> Path:
    """The files of a model of the hub; a branch is looked up, a commit may lie in the hub's cache."""
    try:
        commit = revision if hub.is_commit(revision) else hub.resolve("model", repo, revision)[0]
        return hub.download("model", repo, commit, [f"*{suffix}" for suffix in manifest.FILES])
    except UserError as error:
        said = str(error).replace("params.yaml: ", "--toxicity: ", 1)
        raise UserError(
            said.replace("pin on a machine that reaches it", "name OWNER/NAME@COMMIT that the cache holds, or a folder")
        ) from None
