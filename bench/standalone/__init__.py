"""Scores of any summaries against references, without a study: what sacrebleu is for translation.

`score` reads files or takes texts, and returns values with intervals, signatures and rows as pandas frames. The intervals
and tests are those of a report (docs/statistics.md). Nothing here loads torch unless a classifier is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import metrics, stats
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import Column, ScoreContext
from bench.report.supports import support_of, support_of_differences
from bench.standalone import inputs
from bench.standalone.inputs import Columns, Given, Texts

if TYPE_CHECKING:
    from pandas import DataFrame

ABOUT_MODELS = ("hit_limit", "source_truncated")  # of a file of texts nobody knows them
ABOUT_DIALOGUES = ("copy_rate",)
Values = dict[tuple[str, str], "stats.Floats"]  # (system, column) -> (n,), in the order of the references


@dataclass(frozen=True)
class Scores:
    """What `score` found of each system.

    `values`: a row a system and column, with `value`, `low`, `high` (the interval over dialogues) and `n`. `differences`:
    a row a system but the first and column, against the first: `difference`, `low`, `high`, `p` (two-sided sign flips),
    `p_holm` (corrected over all rows), `smallest_detectable`, `changed` and `n`. `rows`: a row a system and dialogue, with
    `text` and every column. `signatures`: column -> what its values depend on. `columns`: what each column means.
    Values are shares, words or ratios as they are; tables print points and per cent.
    """

    values: DataFrame
    differences: DataFrame
    rows: DataFrame
    signatures: dict[str, str]
    columns: dict[str, Column]
    confidence: float
    claims: float


def score(
    systems: Mapping[str, Texts] | Sequence[str | Path] | str | Path,
    references: Given,
    *,
    columns: Columns | None = None,
    rouge: Mapping[str, Any] | None = None,
    toxicity: str | Path | None = None,
    toxic: str | None = None,
    bleu: bool = False,
    confidence: float = 0.95,
    claims: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> Scores:
    """Score systems against references.

    Args:
        systems: files of summaries (or one), or a name for each with a file or its texts in the order of the references. The
            differences are to the first.
        references: a file, or the references of each dialogue (one text or several).
        columns: which columns of the files hold what, where their names do not tell.
        rouge: settings of ROUGE as in params.yaml, such as {"tokenizer": "unicode"}.
        toxicity: a folder of a classifier, as `save_pretrained` writes it, `profanity` for alt-profanity-check, or a model of
            the hub, OWNER/NAME@COMMIT.
        toxic: its label for toxic texts, where it has not just two of which one says so.
        bleu: also score by sacrebleu's BLEU and chrF, summary by summary.
        claims: the chance of any false 'better' or 'worse' among all differences.

    Raises:
        UserError: a file is missing, a summary lacks, stands twice or belongs to no reference; it names file, line and field.
    """
    examples = inputs.read_references(references, columns or Columns())
    named = inputs.read_systems(systems, examples, columns or Columns())
    blocks = {"rouge": dict(rouge or {}), **({"sacrebleu": {}} if bleu else {}), "text": {}}
    found, known, signatures = _scored(examples, named, blocks, toxicity, toxic)
    settings = (confidence, resamples, seed)
    return Scores(
        values=_values(found, known, settings),
        differences=_differences(found, known, settings),
        rows=_rows(examples, named, found),
        signatures=signatures,
        columns=known,
        confidence=confidence,
        claims=claims,
    )


def _scored(
    examples: Sequence[Example],
    systems: Mapping[str, Sequence[str]],
    blocks: Mapping[str, dict[str, Any]],
    toxicity: str | Path | None,
    toxic: str | None,
) -> tuple[Values, dict[str, Column], dict[str, str]]:
    """Every column of every system, (n,) each."""
    from bench.core.validation import validated

    found: Values = {}
    known: dict[str, Column] = {}
    signatures: dict[str, str] = {}
    place = {example.id: k for k, example in enumerate(examples)}
    spoken = any(example.source != inputs.NO_DIALOGUE for example in examples)
    for name, settings in blocks.items():
        metric = metrics.find(name)
        config = validated(metric.Config, settings, name, "settings")
        skipped = {*ABOUT_MODELS, *(() if spoken else ABOUT_DIALOGUES)}
        known |= {key: column for key, column in metric.columns(config).items() if key not in skipped}
        for system, texts in systems.items():
            context = _context(system, examples, texts)
            signatures |= metric.signature(config, context)
            for row in metric.score(config, context):
                for key in row.values.keys() & known.keys():
                    found.setdefault((system, key), np.zeros(len(examples)))[place[row.id]] = row.values[key]
    if toxicity is not None:
        from bench.standalone import toxic_texts

        classifier, label = toxic_texts.load(toxicity, toxic)
        known["toxicity"] = toxic_texts.COLUMN
        signatures["toxicity"] = f"toxicity|bench-toxicity-1|{classifier.identity}|P({label})|on:summary"
        for system, texts in systems.items():
            found[system, "toxicity"] = classifier.probabilities(list(texts))[:, classifier.column(label)]
    return found, known, {key: signatures[key] for key in known}


def _context(system: str, examples: Sequence[Example], texts: Sequence[str]) -> ScoreContext:
    written = [
        Prediction(id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=0, text=text)
        for e, text in zip(examples, texts, strict=True)
    ]
    return ScoreContext(system, None, examples, written, TextConfig(), GenerationConfig(), "cpu")


def _values(found: Values, known: Mapping[str, Column], settings: tuple[float, int, int]) -> DataFrame:
    from pandas import DataFrame

    keys = list(found)
    shown = {key: [values for (_, other), values in found.items() if other == key] for key in known}
    supports = [support_of(known[key], shown[key]) for _, key in keys]
    low, high = stats.mean_intervals(np.stack([found[place] for place in keys], axis=1), supports, *settings)
    return DataFrame(
        [
            {"system": system, "column": key, "value": found[system, key].mean(), "low": a, "high": b}
            | {"n": len(found[system, key])}
            for (system, key), a, b in zip(keys, low.tolist(), high.tolist(), strict=True)
        ]
    )


def _differences(found: Values, known: Mapping[str, Column], settings: tuple[float, int, int]) -> DataFrame:
    """Of every system to the first; one family of tests."""
    from pandas import DataFrame

    first = next(iter(found))[0]
    gaps = {(s, key): values - found[first, key] for (s, key), values in found.items() if s != first}
    if not gaps:
        return DataFrame()
    shown = {key: [values for (_, other), values in found.items() if other == key] for key in known}
    supports = [support_of_differences(known[key], shown[key], gap) for (_, key), gap in gaps.items()]
    low, high = stats.mean_intervals(np.stack(list(gaps.values()), axis=1), supports, *settings)
    p = stats.sign_flips(list(gaps.values()), *settings[1:])
    adjusted = stats.holm(p).tolist()
    return DataFrame(
        [
            {
                "system": system,
                "against": first,
                "column": key,
                "difference": gap.mean(),
                "low": float(low[k]),
                "high": float(high[k]),
                "p": p[k],
                "p_holm": adjusted[k],
                "smallest_detectable": stats.smallest_detectable(gap),
                "changed": int((gap != 0).sum()),
                "n": len(gap),
            }
            for k, ((system, key), gap) in enumerate(gaps.items())
        ]
    )


def _rows(examples: Sequence[Example], systems: Mapping[str, Sequence[str]], found: Values) -> DataFrame:
    from pandas import DataFrame

    keys = list(dict.fromkeys(key for _, key in found))
    return DataFrame(
        [
            {"system": system, "id": example.id, "text": texts[k]} | {key: found[system, key][k] for key in keys}
            for system, texts in systems.items()
            for k, example in enumerate(examples)
        ]
    )


def check_primary(scores: Scores, key: str) -> None:
    """Check that a column to sort by is one.

    Raises:
        UserError: it is not.
    """
    if key not in scores.columns:
        raise UserError(f"there is no column '{key}'; name one of: {', '.join(scores.columns)}.")
