"""How different a dialogue's own summaries are from each other: samples, or the draws of a decoding that samples.

distinct-n (Li et al. 2016): different n-grams over all n-grams of the draws of a dialogue. Self-BLEU (Zhu et al. 2018):
each draw against the others of its dialogue, averaged; it needs sacrebleu.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.core.schema import ScoreRow, Strict, UserError
from bench.data.texts import words
from bench.metrics import SAMPLED, Column, ScoreContext

PARTIAL = True  # of what wrote one summary a dialogue nothing can be said
EXAMPLES: tuple[dict[str, Any], ...] = ()  # is about several summaries: closed forms in tests/metrics/test_diversity.py
REFERENCES = False


class Config(Strict):
    """`self_bleu` is computed too; it takes draws squared."""

    self_bleu: bool = True


def columns(config: Config) -> dict[str, Column]:
    """List the columns, of summaries and of samples."""
    titles = {"distinct_1": "distinct-1", "distinct_2": "distinct-2"} | (
        {"self_bleu": "self-BLEU"} if config.self_bleu else {}
    )
    return {
        key + suffix: Column(
            title=f"{title} of {what}", unit="share", higher_is_better=None, role="shape", sampled=bool(suffix)
        )
        for suffix, what in (("", "a dialogue's summaries"), (SAMPLED, "a dialogue's samples"))
        for key, title in titles.items()
    }


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State the version of the rules, and how many draws share a dialogue: both measures depend on it."""
    counts = {output: max(map(len, drawn.values()), default=0) for output, drawn in _drawn(context).items()}
    of = {True: counts.get("sample", 0), False: counts.get("greedy", 0)}
    return {key: f"{key}|bench-diversity-1|draws:{of[column.sampled]}" for key, column in columns(config).items()}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every dialogue of which there are two summaries or more.

    Raises:
        UserError: self-BLEU is asked for and sacrebleu is not installed.
    """
    if config.self_bleu and importlib.util.find_spec("sacrebleu") is None:
        raise UserError(
            "params.yaml: metrics.diversity.self_bleu: sacrebleu is not installed; run `pip install sacrebleu`, or write false."
        )
    rows = []
    for output, drawn in _drawn(context).items():
        for identity, texts in drawn.items():
            values = {f"distinct_{n}": distinct(texts, n) for n in (1, 2)}
            values |= {"self_bleu": self_bleu(texts)} if config.self_bleu else {}
            rows.append(
                ScoreRow(
                    id=identity,
                    dialogue_id=context.example(identity).dialogue_id,
                    output=output,  # type: ignore[arg-type]
                    draw=0,
                    metric="diversity",
                    values=values,
                )
            )
    return rows


def _drawn(context: ScoreContext) -> dict[str, dict[str, list[str]]]:
    """The texts of each dialogue that has several, by how they were written."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in context.predictions:
        found[row.output][row.id].append(row.text)
    return {output: {i: texts for i, texts in drawn.items() if len(texts) > 1} for output, drawn in found.items()}


def distinct(texts: Sequence[str], n: int) -> float:
    """Return the share of n-grams over all texts that are different ones; 0 where there are none."""
    found = [words(text) for text in texts]
    grams = [gram for text in found for gram in zip(*(text[i:] for i in range(n)), strict=False)]
    return len(set(grams)) / len(grams) if grams else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean over texts of the sentence BLEU, in [0, 1], of each against the others."""
    from sacrebleu.metrics import BLEU

    bleu = BLEU(effective_order=True)
    scores = [bleu.sentence_score(text, [*texts[:i], *texts[i + 1 :]]).score for i, text in enumerate(texts)]
    return float(sum(scores) / len(scores) / 100)
