"""BLEU and chrF by sacrebleu (Post 2018), of each summary by itself, against all references of its dialogue at once.

A study's statistics are over dialogues, so these are means of sentence scores, which a corpus score is not: BLEU of a
summary is smoothed (sacrebleu's `exp`) and counts n-grams up to its own length.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.core.schema import ScoreRow, Strict, UserError
from bench.metrics import Column, ScoreContext

# By hand. BLEU: 5 of 6 words match, 3 of 5 pairs, 1 of 4 triples, no quadruple: smoothed 1/2 of 1/3 (exp). chrF++ etc.
# are held against sacrebleu's own command line in tests/metrics/test_sacrebleu.py.
EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "from": "closed form, the very reference",
        "prediction": "The cat sat on the mat.",
        "references": ("The cat sat on the mat.",),
        "config": {},
        "values": {"bleu": 1.0, "chrf": 1.0},
    },
    {
        "from": "closed form: precisions 5/6, 3/5, 1/4 and half of 1/3, equal lengths (Papineni et al. 2002, eq. 2)",
        "prediction": "the cat lay on the mat",
        "references": ("the cat sat on the mat",),
        "config": {"scores": ["bleu"]},
        "values": {"bleu": (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25},
    },
)


class Config(Strict):
    """`scores` to compute; `tokenize` of BLEU and `lowercase` of both are sacrebleu's; `word_order` 2 makes chrF++."""

    scores: list[Literal["bleu", "chrf"]] = Field(["bleu", "chrf"], min_length=1)
    tokenize: Literal["13a", "intl", "char", "zh", "none"] = "13a"
    lowercase: bool = False
    word_order: int = Field(0, ge=0, le=4)


def columns(config: Config) -> dict[str, Column]:
    """List the scores, in points."""
    titles = {"bleu": "BLEU", "chrf": "chrF" + "+" * config.word_order}
    return {
        key: Column(title=titles[key], unit="points", higher_is_better=True, role="quality") for key in config.scores
    }


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State sacrebleu's own signature, and that scores are of single summaries."""
    scorers, found = _scorers(config), {}
    counts = sorted({len(example.references) for example in context.examples}) or [0]
    for key, scorer in scorers.items():
        scorer.sentence_score("a", ["a"])  # the signature counts the references of what was scored last
        said = {part.partition(":")[0]: part for part in str(scorer.get_signature()).split("|")}
        said["nrefs"] = "nrefs:" + "-".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
        found[key] = f"{key}|sacrebleu|{'|'.join(said.values())}|mean of sentences"
    return found


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every summary, its scores in [0, 1]."""
    scorers = _scorers(config)
    return [
        ScoreRow.of(
            p,
            "sacrebleu",
            {
                key: scorer.sentence_score(p.text, list(context.example(p.id).references)).score / 100
                for key, scorer in scorers.items()
            },
        )
        for p in context.predictions
        if p.output == "greedy"
    ]


def _scorers(config: Config) -> dict[str, Any]:
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError:
        raise UserError(
            "params.yaml: metrics.sacrebleu: the package is not installed; run `pip install sacrebleu`, or remove the block."
        ) from None
    found = {
        "bleu": lambda: BLEU(tokenize=config.tokenize, lowercase=config.lowercase, effective_order=True),
        "chrf": lambda: CHRF(word_order=config.word_order, lowercase=config.lowercase),
    }
    return {key: found[key]() for key in config.scores}
