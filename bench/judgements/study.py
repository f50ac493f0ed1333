"""Every column against every judgement: from the files of a folder to figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import correlations
from bench.core import storage
from bench.core.parameters import Params
from bench.core.schema import Example, UserError
from bench.correlations import Agreement
from bench.judgements import columns, files
from bench.metrics import Column
from bench.stats import Estimate, Floats

PRINTED = {"points": 100, "share": 100}  # what tables show a value times


@dataclass(frozen=True)
class Ranked:
    """A collection's figures: by target, the agreement of each column, and of one rater with the mean of the others."""

    name: str
    dialogues: int
    systems: int
    raters: int
    agreements: dict[str, dict[str, Agreement]]
    ceilings: dict[str, Agreement]
    constant: tuple[str, ...]


@dataclass(frozen=True)
class Preferred:
    """How often each column prefers a correction, of so many pairs of so many dialogues."""

    pairs: int
    dialogues: int
    shares: dict[str, Estimate]
    constant: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """All that was found: `columns` by key, signatures, the metrics left out with reasons, digests of the files read."""

    columns: dict[str, Column]
    signatures: dict[str, str]
    refused: dict[str, str]
    ranked: tuple[Ranked, ...] = ()
    preferred: Preferred | None = None
    digests: dict[str, str] = field(default_factory=dict)


def measure(folder: Path, dialogues: Path | None = None, params: Params | None = None) -> Measured:
    """Measure with the files of judgements that lie in `folder`; `dialogues` is DialogSum's test file, if elsewhere.

    With `params` the metrics that need a model of that study are measured too.

    Raises:
        UserError: none of the files is there, or one is broken, or a model is missing; the message names file, field and fix.
    """
    wanted = columns.model_free() + (columns.of_study(params) if params else [])
    read: dict[str, Callable[[Path], files.Ratings]] = {
        files.DIALSUMMEVAL: files.dialsummeval,
        files.FACEVAL: files.faceval,
    }
    there = [name for name in (*read, files.FACTCORR) if (folder / name).is_file()]
    if not there:
        raise UserError(f"{folder} holds none of {', '.join((*read, files.FACTCORR))}; name the folder they lie in.")
    rated = [read[name](folder / name) for name in there if name in read]
    used = [folder / name for name in there]
    pairs = None
    if files.FACTCORR in there:
        texts = dialogues or folder / files.DIALOGUES
        pairs = files.factcorr(folder / files.FACTCORR, texts)
        used.append(texts)
    entries, refused = _entries(wanted, rated, pairs)
    return Measured(
        {key: column for entry in entries for key, column in entry.columns.items()},
        _signatures(entries, rated, pairs),
        refused,
        tuple(_ranked(given, entries) for given in rated),
        _preferred(pairs, entries) if pairs else None,
        {path.name: storage.sha256_file(path) for path in used},
    )


def _examples(given: files.Ratings) -> list[Example]:
    """The dialogues, each with the summary of the system that people wrote as its reference."""
    own = given.texts[given.texts["system"] == given.reference]
    return [
        Example(id=row.dialogue, dialogue_id=row.dialogue, source=row.source, references=(row.summary,))
        for row in own.itertuples()
    ]


def _contexts(given: files.Ratings) -> dict[str, columns.ScoreContext]:
    """What metrics are handed of each system but the reference."""
    examples, loaded = _examples(given), dict[tuple[str, str], Any]()
    return {
        str(system): columns.context(
            str(system), examples, list(zip(rows["dialogue"], rows["summary"], strict=True)), loaded
        )
        for system, rows in given.texts.groupby("system", sort=True)
        if system != given.reference
    }


def _pair_contexts(pairs: files.Corrections) -> tuple[columns.ScoreContext, columns.ScoreContext]:
    loaded = dict[tuple[str, str], Any]()
    first, second = (
        columns.context(
            side, pairs.examples, list(zip(pairs.pairs["dialogue"], pairs.pairs[side], strict=True)), loaded
        )
        for side in ("summary", "corrected")
    )
    return first, second


def _first(rated: Sequence[files.Ratings], pairs: files.Corrections | None) -> list[tuple[columns.ScoreContext, str]]:
    """One system of each collection, to ask metrics about, and the dataset that its dialogues are of."""
    found = [(next(iter(_contexts(given).values())), "samsum") for given in rated]
    return found + ([(_pair_contexts(pairs)[0], "dialogsum")] if pairs else [])


def _entries(
    entries: list[columns.Entry], rated: Sequence[files.Ratings], pairs: files.Corrections | None
) -> tuple[list[columns.Entry], dict[str, str]]:
    refused = dict[str, str]()
    for given, dataset in _first(rated, pairs):
        entries, more = columns.usable(entries, given, dataset)
        refused |= more
    return entries, refused


def _signatures(
    entries: Sequence[columns.Entry], rated: Sequence[files.Ratings], pairs: files.Corrections | None
) -> dict[str, str]:
    """What each column's values depend on; with other numbers of references, one for each."""
    found: dict[str, list[str]] = {}
    for given, _ in _first(rated, pairs):
        for entry in entries:
            for key, signature in entry.metric.signature(entry.block, given).items():
                if key in entry.columns and signature not in found.setdefault(key, []):
                    found[key].append(signature)
    return {key: "; ".join(texts) for key, texts in found.items()}


def _scores(entries: Sequence[columns.Entry], given: columns.ScoreContext) -> pd.DataFrame:
    """Every column of every prediction as tables print it, those that are better when lower as their negative."""
    # Values that are equal on paper differ in the last bits, and a tie must be a tie.
    found = pd.concat([columns.values(entry, given) for entry in entries], axis=1).round(12)
    for entry in entries:
        for key, column in entry.columns.items():
            found[key] *= PRINTED.get(column.unit, 1) * (-1 if column.higher_is_better is False else 1)
    return found


def _ranked(given: files.Ratings, entries: Sequence[columns.Entry]) -> Ranked:
    contexts = _contexts(given)
    scores = {system: _scores(entries, one) for system, one in contexts.items()}
    order = [example.id for example in _examples(given)]
    tables = {
        key: np.stack(
            [
                pd.Series(scores[name][key].to_numpy(), [p.id for p in one.predictions]).loc[order].to_numpy(float)
                for name, one in contexts.items()
            ],
            axis=1,
        )
        for key in scores[next(iter(scores))]
    }
    raters = {target: _rater_tables(given, frame, order, list(contexts)) for target, frame in given.raters.items()}
    moving = {key: table for key, table in tables.items() if np.isfinite(table).all() and np.ptp(table)}
    return Ranked(
        given.name,
        len(order),
        len(contexts),
        next(iter(given.raters.values())).shape[1],
        {
            target: {key: correlations.agreement([(table, np.mean(some, axis=0))]) for key, table in moving.items()}
            for target, some in raters.items()
        },
        {target: correlations.agreement(_one_against_others(some)) for target, some in raters.items() if len(some) > 1},
        tuple(key for key in tables if key not in moving),
    )


def _rater_tables(
    given: files.Ratings, frame: pd.DataFrame, order: Sequence[str], systems: Sequence[str]
) -> list[Floats]:
    """A table (D, S) of each rater's ratings."""
    where = [given.texts["dialogue"], given.texts["system"]]
    return [
        frame[rater]
        .set_axis(pd.MultiIndex.from_arrays(where))
        .unstack()
        .loc[list(order), list(systems)]
        .to_numpy(float)
        for rater in frame
    ]


def _one_against_others(tables: Sequence[Floats]) -> list[correlations.Pair]:
    """Each rater beside the mean of the others."""
    return [(own, np.mean([*tables[:k], *tables[k + 1 :]], axis=0)) for k, own in enumerate(tables)]


def _preferred(pairs: files.Corrections, entries: Sequence[columns.Entry]) -> Preferred:
    first, second = (_scores(entries, given) for given in _pair_contexts(pairs))
    both = pd.concat([first, second])
    moving = [key for key in first if both[key].notna().all() and both[key].nunique() > 1]
    names = pairs.pairs["dialogue"].tolist()
    shares = {
        str(key): correlations.preferred(first[key].to_numpy(float), second[key].to_numpy(float), names)
        for key in moving
    }
    return Preferred(len(names), len(set(names)), shares, tuple(str(key) for key in first if key not in moving))


def length_key(found: Mapping[str, Column]) -> str | None:
    """Return the column that is the length alone: the first that counts words."""
    return next((key for key, column in found.items() if column.unit == "words"), None)
