"""Classifiers that lie inside a Python package, pinned by its version: what their checkpoint folder says, and how they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from bench.core import storage
from bench.core.blocks import CheckpointConfig
from bench.core.schema import UserError

if TYPE_CHECKING:
    from bench.checkpoints import BuildContext

LEAST = 1e-12  # of a chance: its logarithm is finite
Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")]  # of a package


@dataclass(frozen=True)
class Library:
    """A package by its name on PyPI; `chances` gives the probability (n,) of the second of two labels."""

    name: str
    labels: tuple[str, str]
    chances: Callable[[Sequence[str]], np.ndarray]

    def check_version(self, wanted: str, where: str) -> None:
        """Refuse any installed version but `wanted`: another one is another classifier."""
        try:
            found = metadata.version(self.name)
        except metadata.PackageNotFoundError:
            raise UserError(
                f"{where} asks for {self.name} {wanted}, which is not installed; run `pip install {self.name}=={wanted}`."
            ) from None
        if found != wanted:
            raise UserError(
                f"{where}: version: {self.name} {wanted} is asked for and {found} is installed; run "
                f"`pip install {self.name}=={wanted}` or write {found} in params.yaml."
            )

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Compute logits (n, 2) whose softmax gives the library's probabilities again: their logarithms."""
        second = np.clip(np.asarray(self.chances(texts), dtype=np.float64), LEAST, 1 - LEAST)
        return np.log(np.stack([1 - second, second], axis=1))


class PackagedConfig(CheckpointConfig):
    """Base of the Config of a classifier inside a Python package: `version` pins the package, and with it the weights."""

    library: ClassVar[Library]
    version: Version

    def check(self) -> None:
        """Raise UserError when the package is missing or another version is installed."""
        self.library.check_version(self.version, f"params.yaml: a checkpoint with source '{self.source}'")


def build(config: PackagedConfig, context: BuildContext) -> dict[str, Any]:
    """Write the classifier.json that stands for a package's model in `context.out`; return what the report says of it.

    Raises:
        UserError: the package is missing, or another version is installed.
    """
    config.check()
    library = config.library
    held = {"library": library.name, "version": config.version, "labels": list(library.labels)}
    storage.write_json(context.out / "classifier.json", held)
    return {"name": f"{library.name} {config.version}", "labels": list(library.labels)}


def _profane(texts: Sequence[str]) -> np.ndarray:
    from profanity_check import predict_prob

    return np.asarray(predict_prob(list(texts)))


def _positive(texts: Sequence[str]) -> np.ndarray:
    """VADER's compound score (Hutto and Gilbert 2014), from -1 to 1, as a chance."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return np.array([(analyzer.polarity_scores(text)["compound"] + 1) / 2 for text in texts])


def _polar(texts: Sequence[str]) -> np.ndarray:
    """The polarity that TextBlob takes from pattern.en's lexicon (De Smedt and Daelemans 2012), from -1 to 1, as a chance."""
    from textblob import TextBlob

    return np.array([(TextBlob(text).sentiment.polarity + 1) / 2 for text in texts])


PROFANITY = Library("alt-profanity-check", ("clean", "profane"), _profane)
VADER = Library("vaderSentiment", ("negative", "positive"), _positive)
TEXTBLOB = Library("textblob", ("negative", "positive"), _polar)
LIBRARIES = {library.name: library for library in (PROFANITY, VADER, TEXTBLOB)}
