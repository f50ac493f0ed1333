"""How often a reward model is right: held-out pairs by category, beside 'longer wins' and ROUGE, and what it goes by.

RewardBench's table (Lambert et al. 2024), with an interval for each share and a calibration; a reward that follows length or
copying is seen here before a policy finds out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core import manifest, paths, storage
from bench.correlations import preferred, spearman
from bench.data.texts import words
from bench.rankings import Preference, Ranking, preferences
from bench.stats import Floats

if TYPE_CHECKING:
    from bench.classifiers.reward_models import RewardModel
    from bench.reward_models import TrainedConfig

ALL = "all"
BINS = 10  # of the calibration
Score = Callable[[Sequence[tuple[str, str]]], np.ndarray]


def about(name: str, model: RewardModel, block: TrainedConfig, record: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a trained reward model: what it stands on and learnt from, and how often it is right on held-out dialogues."""
    learnt, tested = Path(block.learns_from).name, Path(block.tested_on).name
    tests = {
        of: report(
            lambda pairs: model.score(pairs, name).numpy(),
            storage.read_rows(paths.preferences_path(of, "test"), Ranking),
            block.margin,
        )
        for of in dict.fromkeys((learnt, tested))
    }
    return {
        "form": block.form,
        "loss": block.loss,
        "init": block.init,
        "learns_from": [learnt, tested] if block.own and tested != learnt else [learnt],
        "trainable_parameters": record["trainable_parameters"],
        "sha256": manifest.digest(name),
        "tests": tests,
    }


def report(score: Score, rankings: Sequence[Ranking], margin: float = 0.0) -> dict[str, Any]:
    """Measure a reward model on rankings that it has not learnt from; `score` gives rewards (n,) of (dialogue, summary)."""
    pairs = preferences(rankings, margin)
    texts = list(dict.fromkeys((r.source, summary) for r in rankings for summary in r.summaries))
    rewards = dict(zip(texts, score(texts).tolist(), strict=True)) if texts else {}
    references = {ranking.id: ranking.references for ranking in rankings}
    gaps = np.array([rewards[p.source, p.chosen] - rewards[p.source, p.rejected] for p in pairs])
    longer = np.array([len(words(p.chosen)) - len(words(p.rejected)) for p in pairs], np.float64)
    rouge = _rouge_gaps(pairs, references)
    categories = [ALL, *sorted({p.category for p in pairs if p.category})]
    rows = []
    for category in categories:
        taken = np.array([category in (ALL, p.category) for p in pairs], bool)
        own = [p for p, kept in zip(pairs, taken, strict=True) if kept]
        rows.append(
            {
                "category": category,
                "pairs": len(own),
                "dialogues": len({p.dialogue_id for p in own}),
                "accuracy": share_right(own, gaps[taken]),
                "longer": share_right(own, longer[taken]),
                "rouge1": None if rouge is None else share_right(own, rouge[taken]),
            }
        )
    return {
        "rankings": len(rankings),
        "rows": rows if pairs else [],
        "calibration": calibration(gaps),
        "correlations": _correlations(rankings, rewards),
    }


def share_right(pairs: Sequence[Preference], gaps: Floats) -> dict[str, float | None]:
    """Compute the share of pairs whose better summary scores higher, a tie being half right, resampled by dialogue."""
    found = preferred(np.zeros(len(gaps)), gaps, [p.dialogue_id for p in pairs])
    return {key: float(value) if np.isfinite(value) else None for key, value in found._asdict().items()}


def calibration(gaps: Floats) -> dict[str, Any]:
    """Hold the chance that sigmoid(gap) gives against how often it came true (expected calibration error, Guo et al. 2017).

    Each pair is counted by what the model is surer of, so chances are at least 1/2; `BINS` of equal numbers.
    """
    if not len(gaps):
        return {"error": None, "bins": []}
    sure, right = 1 / (1 + np.exp(-np.abs(gaps))), (gaps > 0) + 0.5 * (gaps == 0)
    parts = [part for part in np.array_split(np.argsort(sure, kind="stable"), BINS) if len(part)]
    bins = [{"said": float(sure[p].mean()), "was": float(right[p].mean()), "pairs": len(p)} for p in parts]
    return {"error": float(sum(abs(b["said"] - b["was"]) * b["pairs"] for b in bins) / len(gaps)), "bins": bins}


def _rouge_gaps(pairs: Sequence[Preference], references: dict[str, tuple[str, ...]]) -> Floats | None:
    """What ROUGE-1 would say of the pairs; None where there are no references beside the ranked."""
    if not pairs or not all(references[p.id] for p in pairs):
        return None
    from bench.metrics import rouge

    config = rouge.Config(types=("rouge1",))
    chosen, rejected = (
        rouge.rouge_rows([getattr(p, side) for p in pairs], [references[p.id] for p in pairs], config)
        for side in ("chosen", "rejected")
    )
    return np.array([one["rouge1"] - other["rouge1"] for one, other in zip(chosen, rejected, strict=True)])


def _correlations(rankings: Sequence[Ranking], rewards: dict[tuple[str, str], float]) -> dict[str, float | None]:
    """Spearman's coefficient of the reward with length and with copying, within each ranking, averaged."""
    found: dict[str, float | None] = {}
    for name, measure in (("length", _length), ("copying", _copying)):
        each = [
            float(
                spearman(
                    np.array([rewards[r.source, s] for s in r.summaries]),
                    np.array([measure(r.source, s) for s in r.summaries]),
                )
            )
            for r in rankings
        ]
        there = [value for value in each if np.isfinite(value)]
        found[name] = float(np.mean(there)) if there else None
    return found


def _length(source: str, summary: str) -> float:
    return float(len(words(summary)))


def _copying(source: str, summary: str) -> float:
    """The share of the summary's pairs of words that stand in the dialogue."""
    told, said = words(source), words(summary)
    known = set(itertools.pairwise(told))
    pairs = list(itertools.pairwise(said))
    return sum(pair in known for pair in pairs) / max(len(pairs), 1)
