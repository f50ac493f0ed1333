"""What can be seen of a summary without a model: length, copying, repetition, emptiness, sameness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.core.schema import Example, Prediction, ScoreRow, Strict
from bench.data.texts import words
from bench.metrics import Column

if TYPE_CHECKING:
    from bench.metrics import ScoreContext

# Closed forms, counted by hand.
EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "from": "2 of 3 bigrams stand in the source",
        "prediction": "the cat sat down",
        "source": "The cat sat on it.",
        "references": ("a cat sat", "it sat there now then"),
        "config": {},
        "values": {"words": 4, "copy_rate": 2 / 3, "repetition": 0, "length_ratio": 1, "empty": 0},
    },
    {
        "from": "a b c a b c a b c: 7 trigrams, 3 of them distinct",
        "prediction": "a b c a b c a b c",
        "source": "x",
        "references": ("a b c",),
        "config": {},
        "values": {"repetition": 4 / 7, "copy_rate": 0, "length_ratio": 3},
    },
    {
        "from": "nothing written",
        "prediction": " \n",
        "source": "a b",
        "references": ("a b",),
        "config": {},
        "values": {"words": 0, "empty": 1, "copy_rate": 0, "repetition": 0, "length_ratio": 0, "identical": 0},
    },
)
REFERENCES = False


class Config(Strict):
    """Nothing to set."""


def columns(config: Config) -> dict[str, Column]:
    """List the columns about the shape of greedy summaries; they show what came with a change of ROUGE."""

    def column(title: str, unit: Any, higher_is_better: bool | None = None, detail: bool = False) -> Column:
        return Column(title=title, unit=unit, higher_is_better=higher_is_better, role="shape", detail=detail)

    return {
        "words": column("Words", "words", detail=True),
        "length_ratio": column("Words over the references' words", "ratio"),
        "hit_limit": column("Cut at max_new_tokens", "share", False),
        "source_truncated": column("Dialogue cut to fit", "share", detail=True),
        "empty": column("Empty", "share", False),
        "copy_rate": column("Bigrams copied from the dialogue", "share"),
        "repetition": column("Repeated trigrams", "share", False),
        "identical": column("Same text for other dialogues", "share"),
    }


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State the version of the rules: raise the number in `bench-text-1` when one of this file changes."""
    return {key: f"{key}|bench-text-1" for key in columns(config)}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every greedy prediction."""
    greedy = [prediction for prediction in context.predictions if prediction.output == "greedy"]
    shared = Counter(text for text, _ in {(_folded(p.text), p.dialogue_id) for p in greedy})
    others = len({p.dialogue_id for p in greedy}) - 1
    rows = []
    for p in greedy:
        same = (shared[_folded(p.text)] - 1) / others if others else 0.0
        values = _surface(p, context.example(p.id)) | {"identical": same}
        rows.append(ScoreRow.of(p, "text", values))
    return rows


def _surface(prediction: Prediction, example: Example) -> dict[str, float]:
    """The facts that one prediction and its example give."""
    own, source = words(prediction.text), words(example.source)
    pairs, triples = _ngrams(own, 2), _ngrams(own, 3)
    known = set(_ngrams(source, 2))
    lengths = [len(words(text)) for text in example.references]
    ratio = {"length_ratio": len(own) / max(sum(lengths) / len(lengths), 1.0)} if lengths else {}
    return ratio | {
        "words": float(len(own)),
        "hit_limit": float(prediction.hit_limit),
        "source_truncated": float(prediction.source_truncated),
        "empty": float(not prediction.text.strip()),
        "copy_rate": sum(pair in known for pair in pairs) / max(len(pairs), 1),
        "repetition": 1 - len(set(triples)) / len(triples) if triples else 0.0,
    }


def _ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    """Every run of `n` words."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def _folded(text: str) -> str:
    """The text with its white space evened out, for telling whether two are the very same."""
    return " ".join(text.split())


def _length(examples: Sequence[Example], summaries: Sequence[str]) -> list[float]:
    return [float(len(summary.split())) for summary in summaries]


REWARDS = {"length": _length}
