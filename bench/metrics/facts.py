"""Whether a summary of the miniature's dialogues is true: its facts against those that the grammar wrote from.

ROUGE and classifiers are judged by it, for here the truth is known exactly. A fact that every reference tells (what was
wanted, by whom, how it ended, the things and days named, that somebody insulted) is stated rightly, wrongly or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.core import paths
from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, ScoreRow, Strict, UserError
from bench.metrics import SAMPLED, Column

if TYPE_CHECKING:
    from bench.metrics import ScoreContext

EXAMPLES: tuple[()] = ()  # they need a dialogue's facts: tests/metrics/test_facts.py has them, judged by hand
DATASET = "miniature"  # the one whose grammar is known
TURNS = "lead-3"  # copies turns, and no turn is a sentence about a dialogue


class Config(Strict):
    """Nothing to set."""


def check(config: Config, data: DatasetConfig) -> None:
    """Raise ValueError for a dataset whose truth nobody wrote down."""
    if data.dataset != DATASET:
        raise ValueError(f"only the dataset '{DATASET}' knows what happened in its dialogues; remove the block")


def columns(config: Config) -> dict[str, Column]:
    """List the shares of facts and whether all is right, of greedy summaries and of samples."""
    found = {}
    for suffix, what in (("", ""), (SAMPLED, ", sampled")):
        for key, title, higher, truth in (
            ("facts_right", "Facts stated rightly", True, True),
            ("facts_wrong", "Statements that are wrong", False, False),
            ("facts_left_out", "Facts left out", False, False),
            ("wholly_right", "Summaries wholly right", True, True),
        ):
            found[f"{key}{suffix}"] = Column(
                title=f"{title}{what}",
                unit="share",
                higher_is_better=higher,
                role="shape" if suffix or key == "facts_left_out" else "quality",
                sampled=bool(suffix),
                truth=truth,
            )
    return found


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State the version of the rules: raise the number when how a sentence is read or counted changes."""
    return {key: f"{key}|bench-facts-1" for key in columns(config)}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every prediction; none for what only copies turns.

    Raises:
        UserError: a dialogue has no facts.
    """
    from bench.miniature import facts

    rows = []
    for p in context.predictions if context.variant != TURNS else ():
        truth = context.example(p.id).facts
        if not truth:
            raise UserError(
                f"{paths.split_path('test')}: '{p.id}' has no facts; run `dvc repro` to write it again, or remove "
                "metrics.facts from params.yaml."
            )
        judged = facts.judge(p.text, truth)
        values: dict[str, Any] = {
            "facts_right": judged.right / judged.facts,
            "facts_wrong": judged.wrong / max(judged.statements, 1),
            "facts_left_out": judged.left_out / judged.facts,
            "wholly_right": float(judged.wholly_right),
        }
        rows.append(ScoreRow.of(p, "facts", values))
    return rows


def _right_less_wrong(examples: Sequence[Example], summaries: Sequence[str]) -> list[float]:
    from bench.miniature import facts

    judged = [facts.judge(summary, example.facts) for example, summary in zip(examples, summaries, strict=True)]
    return [(one.right - one.wrong) / one.facts for one in judged]


REWARDS = {"facts": _right_less_wrong}
