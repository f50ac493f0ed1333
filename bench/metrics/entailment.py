"""Whether the dialogue entails what the summary says, by a natural-language-inference checkpoint.

SummaC's zero-shot form (Laban et al. 2022, section 4.1): the dialogue is cut into pieces and the summary into sentences;
each sentence counts with the entailment probability of the piece that supports it best, less that piece's contradiction
where asked for, and a summary with the mean over its sentences.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from bench.classifiers import loading
from bench.core.schema import ScoreRow, Strict
from bench.data import texts
from bench.metrics import Column, ScoreContext

EXAMPLES: tuple[dict[str, Any], ...] = ()  # needs a classifier: tests/metrics/test_entailment.py holds it against loops
REFERENCES = False


class Config(Strict):
    """`checkpoint` is a classifier of (premise, hypothesis) with a label `entailment` (and, to subtract it, `contradiction`).

    A premise is `turns` turns of the dialogue, and as many are in one and the next less one; 0 takes the whole dialogue.
    """

    checkpoint: str
    entailment: str = "entailment"
    contradiction: str | None = None
    turns: int = Field(4, ge=0)
    of: Literal["sentences", "summary"] = "sentences"


def columns(config: Config) -> dict[str, Column]:
    """List the support of the summary by its dialogue, a share (from -100 % where contradiction is subtracted)."""
    return {
        "entailment": Column(
            title="Entailed by the dialogue",
            unit="share" if config.contradiction is None else "ratio",
            higher_is_better=True,
            role="quality",
            classifier=config.checkpoint,
        )
    }


def labels(config: Config) -> dict[str, tuple[str, str]]:
    """List the labels that must exist: field -> (checkpoint, label)."""
    found = {"entailment": (config.checkpoint, config.entailment)}
    if config.contradiction is not None:
        found["contradiction"] = (config.checkpoint, config.contradiction)
    return found


def checkpoints(config: Config) -> dict[str, str]:
    """Name the classifier among the study's checkpoints."""
    return {"checkpoint": config.checkpoint}


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State the classifier with its weights, its labels, and what is held against what."""
    identity = context.classifier(config.checkpoint).identity
    less = f"-P({config.contradiction})" if config.contradiction else ""
    what = f"P({config.entailment}){less}|premise:{config.turns or 'all'} turns|{config.of}|{texts.SPLITTER}"
    return {"entailment": f"entailment|bench-entailment-1|{identity}|{what}"}


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every summary; an empty one is supported by nothing, 0."""
    classifier, rows = context.classifier(config.checkpoint), []
    greedy = [row for row in context.predictions if row.output == "greedy"]
    asked: list[tuple[int, int, str, str]] = []  # row, sentence, premise, hypothesis
    for k, row in enumerate(greedy):
        said = texts.sentences(row.text) if config.of == "sentences" else [row.text]
        pieces = premises(context.example(row.id).source, config.turns)
        asked += [(k, i, piece, each) for i, each in enumerate(said) if each.strip() for piece in pieces]
    chances = loading.softmax(classifier.pair_logits([(premise, said) for *_, premise, said in asked]))
    support: dict[int, dict[int, float]] = {}
    for (k, i, *_), row_chances in zip(asked, chances, strict=True):
        value = float(row_chances[classifier.column(config.entailment)])
        if config.contradiction is not None:
            value -= float(row_chances[classifier.column(config.contradiction)])
        of_row = support.setdefault(k, {})
        of_row[i] = max(of_row.get(i, value), value)
    for k, row in enumerate(greedy):
        found = list(support.get(k, {}).values())
        rows.append(
            ScoreRow.of(
                row,
                "entailment",
                {"entailment": sum(found) / len(found) if found else 0.0},
            )
        )
    return rows


def premises(source: str, turns: int) -> list[str]:
    """Cut a dialogue, a turn a line, into pieces of `turns` turns, each beginning one turn after the last; 0: the whole."""
    lines = [line for line in source.split("\n") if line.strip()]
    if not turns or len(lines) <= turns:
        return ["\n".join(lines)]
    return ["\n".join(lines[i : i + turns]) for i in range(len(lines) - turns + 1)]
