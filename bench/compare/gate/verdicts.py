"""One verdict, and the rules that give it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench import stats

Flags = NDArray[np.bool_]
Word = Literal["PASS", "FAIL", "INCONCLUSIVE", "NOT COMPARED"]


@dataclass(frozen=True)
class Verdict:
    """What the gate says about one measure of one variant; numbers as text for people, in `details` for machines."""

    variant: str
    measure: str
    word: Word
    reason: str
    before: str = ""
    after: str = ""
    change: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    is_score: bool = True


@dataclass(frozen=True)
class Outcome:
    """Everything the gate says about two states."""

    study: str
    before: str
    after: str
    rule: str
    strict: bool
    verdicts: list[Verdict]
    notes: list[str]

    @property
    def word(self) -> Word:
        """The worst verdict."""
        words = {verdict.word for verdict in self.verdicts}
        order: tuple[Word, ...] = ("FAIL", "INCONCLUSIVE")
        return next((word for word in order if word in words), "PASS")

    @property
    def exit_code(self) -> int:
        """0 pass or inconclusive, 1 failed; `strict` fails what is inconclusive."""
        return int(self.word == "FAIL" or (self.strict and self.word == "INCONCLUSIVE"))


def failed(upper: ArrayLike, fail_margin: float) -> Flags:
    """Tell whether even the upper bound of the gain (better is positive) is a loss beyond the margin; works on arrays."""
    return np.asarray(np.asarray(upper) < -fail_margin)


def passed(lower: ArrayLike, pass_margin: float) -> Flags:
    """Tell whether even the lower bound of the gain is no loss as large as the margin; works on arrays."""
    return np.asarray(np.asarray(lower) > -pass_margin)


def decide(lower: float, upper: float, fail_margin: float, pass_margin: float) -> Word:
    """Decide among the three answers. A loss that lies surely between the margins is a FAIL: it is surely beyond the first."""
    if failed(upper, fail_margin):
        return "FAIL"
    return "PASS" if passed(lower, pass_margin) else "INCONCLUSIVE"


def deciding_n(
    gains: stats.Floats, fail_margin: float, pass_margin: float, confidence: float, half_width: float = 0.0
) -> int | None:
    """Count the dialogues that would decide, were the mean and spread of the gains (n,) the true ones; None where none would.

    A bound lies z * sd / sqrt(n) from the mean, in quadrature with the `half_width` of seed variance, which no number
    of dialogues makes smaller; the nearer of the two margins that the mean is clear of counts.
    """
    mean, spread = float(gains.mean()), NormalDist().inv_cdf(confidence) * float(gains.std(ddof=1))
    gap = max(-fail_margin - mean, mean + pass_margin)
    return max(len(gains) + 1, math.ceil(spread**2 / (gap**2 - half_width**2))) if gap > half_width else None
