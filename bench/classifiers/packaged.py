"""Classifiers that lie inside a Python package, pinned by its version: what their checkpoint folder says, and how they are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from bench.core.schema import UserError

LEAST = 1e-12  # of a chance: its logarithm is finite


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
