"""What the texts of a system show beside the metrics: sameness, variety, and whether the reward follows length."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from bench import stats
from bench.data import texts
from bench.report.study import Study

COLLAPSE = 0.9  # share of dialogues with one and the same summary (or none) from which on a model says nothing


def greedy(study: Study, system: str) -> list[tuple[str, str]]:
    """Return (dialogue, summary) of every greedy prediction."""
    return [(row.dialogue_id, row.text) for row in study.predictions[system] if row.output == "greedy"]


def corpora(study: Study, system: str) -> list[list[tuple[str, str]]]:
    """Return the pairs of `greedy` for each training apart: a statistic of a corpus is the mean over these."""
    marks = [training.mark for training in study.params.trainings_of(system)]
    rows = [row for row in study.predictions[system] if row.output == "greedy"]
    return [[(row.dialogue_id, row.text) for row in rows if row.seed == mark] for mark in marks]


def same_text(pairs: Sequence[tuple[str, str]]) -> float:
    """Return the share of dialogues whose summary is the most frequent one, white space evened out; nan for one dialogue."""
    folded = {(" ".join(text.split()), dialogue) for dialogue, text in pairs}
    dialogues = len({dialogue for _, dialogue in folded})
    return max(Counter(text for text, _ in folded).values()) / dialogues if dialogues > 1 else math.nan


def collapsed(study: Study) -> dict[str, float]:
    """Find the trained variants that say nothing any more, each with its share of dialogues that got the same text.

    One collapsed training among several seeds is enough: a mean over it would mean nothing.
    """
    trained = [variant for variant, block in study.params.variants.items() if block.method != "none"]
    worst = {variant: max(map(same_text, corpora(study, variant))) for variant in trained}
    return {variant: share for variant, share in worst.items() if share >= COLLAPSE}


def spearman(x: stats.Floats, y: stats.Floats, confidence: float) -> stats.Estimate:
    """Compute Spearman's correlation of (n,), (n,) with its interval; nan below 5 dialogues, or where one is constant.

    On Fisher's scale, with the standard error that the influence of each dialogue gives (Croux & Dehon 2010, Statistical
    Methods & Applications 19, 497) and Student's t: a formula for normal values covers less where insults are rare.
    """
    from scipy.special import stdtrit  # late: what has no intervals is spared the import

    nothing, n = stats.Estimate(math.nan, math.nan, math.nan), len(x)
    if n < 5 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return nothing
    u, v = (_ranks(values) / n - (n + 1) / (2 * n) for values in (x, y))
    spreads, own = float(u.std() * v.std()), float((u * v).mean())
    value = own / spreads
    if abs(value) > 1 - 1e-9:
        return stats.Estimate(value, math.nan, math.nan)
    # A dialogue moves the product of ranks and their variances by its own ranks, and by those it gives the others.
    product = u * v + _moved(x, v) + _moved(y, u)
    variances = (u**2 + 2 * _moved(x, u)) / u.var() + (v**2 + 2 * _moved(y, v)) / v.var()
    influence = product / spreads - value / 2 * variances
    error = float(influence.std(ddof=1)) / math.sqrt(n) / (1 - value**2)
    reach = float(stdtrit(n - 2, (1 + confidence) / 2)) * error
    return stats.Estimate(value, math.tanh(math.atanh(value) - reach), math.tanh(math.atanh(value) + reach))


def _moved(values: stats.Floats, weights: stats.Floats) -> stats.Floats:
    """By how much each value (n,) moves the ranks of the others, summed with their weights (n,) and averaged."""
    parts = []
    for start in range(0, len(values), 500):
        some = values[start : start + 500, None]
        parts.append((((some < values) + 0.5 * (some == values) - 0.5) * weights).mean(axis=1))
    return np.concatenate(parts)


def _ranks(values: stats.Floats) -> stats.Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: stats.Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def reward_and_words(
    study: Study, systems: Mapping[str, str], key: str
) -> dict[str, tuple[stats.Floats, stats.Floats]]:
    """Return (reward, words) by dialogue for each system, by its name here; `gain` is the last less the first of two, where they
    differ.

    All over the dialogues that every system has.
    """
    rewards, words = [], []
    for system in systems.values():
        column = study.systems[system].columns.get(key)
        if column is None:
            return {}
        means = zip(column.members, stats.cluster_means(column), strict=True)
        rewards.append({study.dialogues[k]: float(value) for k, value in means})
        counts: dict[str, list[int]] = {}
        for dialogue, text in greedy(study, system):
            counts.setdefault(dialogue, []).append(len(texts.words(text)))
        words.append({dialogue: fmean(some) for dialogue, some in counts.items()})
    shared = [d for d in study.dialogues if all(d in known for known in (*rewards, *words))]
    pairs = {
        when: (np.array([reward[d] for d in shared]), np.array([count[d] for d in shared]))
        for when, reward, count in zip(systems, rewards, words, strict=True)
    }
    if len(pairs) == 2:
        (x, m), (y, n) = pairs.values()
        moved = (y != x) | (n != m)  # unchanged summaries would tie at 0 and drown the others
        pairs["gain"] = (y - x)[moved], (n - m)[moved]
    return pairs
