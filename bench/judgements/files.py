"""Reads judgements of people in the formats of their authors, into tables. Nothing of them is kept but figures.

DialSummEval (Gao & Wan 2022): 14 systems on SAMSum dialogues, three raters, four dimensions from 1 to 5.
FacEval (Wang et al. 2022): five systems on SAMSum dialogues, six kinds of factual error, yes or no.
DialSummFactCorr (Gao et al. 2023): system summaries of DialogSum's test dialogues and their corrections by people.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.core import parsing
from bench.core.schema import Example, Identity, Text, UserError, first_error
from bench.data import readers

FIX = "fetch the file again from its authors"
DIALSUMMEVAL, FACEVAL, FACTCORR = "dialsummeval.jsonl", "faceval.csv", "factcorr_aligned.json"
DIALOGUES = "dialogsum.test.jsonl"
# The release names no dialogue; the aligned file has the likeliest one of each group, and a ratio that says how clearly. From
# this ratio on, and without groups that share a dialogue, it leaves the 89 groups and 157 changed pairs that count as safe.
SAFE = 1.3

Rating = Annotated[float, Field(ge=1, le=5)]
YesNo = Literal["yes", "no"]


class Ratings(NamedTuple):
    """A collection of rated summaries.

    `texts` has the columns dialogue, system, source, summary, a row a summary. `raters` holds for each target a table
    (summaries x raters) in the order of `texts`, where more is better. `reference` is the system that people wrote: its
    summaries are the references that others are scored against, and it is not ranked.
    """

    name: str
    texts: pd.DataFrame
    raters: dict[str, pd.DataFrame]
    reference: str


class Corrections(NamedTuple):
    """Pairs of a wrong summary and its correction: columns dialogue, summary, corrected; and the dialogues themselves."""

    pairs: pd.DataFrame
    examples: tuple[Example, ...]


class _Record(BaseModel):
    """What is read of a record; fields that are not needed may stand beside it."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class _Dimensions(_Record):
    consistency: Rating
    relevance: Rating
    fluency: Rating
    coherence: Rating


class _Rated(_Record):
    id: Identity
    dialogue: Text
    summary: str
    model_id: Identity
    annotations: list[_Dimensions] = Field(min_length=2)


class _Checked(_Record):
    dialogue_id: Identity = Field(alias="DocID")
    dialogue: Text = Field(alias="Dialogue")
    system: Identity = Field(alias="Model")
    summary: str = Field(alias="Summary")
    subject_object: YesNo = Field(alias="SubObjE")
    pronoun: YesNo = Field(alias="ProE")
    negation: YesNo = Field(alias="NegE")
    particulars: YesNo = Field(alias="ParE")
    hallucination: YesNo = Field(alias="HalE")
    other: YesNo = Field(alias="OtherE")


class _Pair(_Record):
    summary: str
    corrected: str


class _Group(_Record):
    fname: Identity
    ratio: float
    rows: list[_Pair]


class _Dialogue(_Record):
    fname: Identity
    dialogue: Text
    summary1: Text
    summary2: Text
    summary3: Text


Record = TypeVar("Record", bound=_Record)


def dialsummeval(path: Path) -> Ratings:
    """Read DialSummEval's rows.

    Raises:
        UserError: a row or the whole is not of that format; the message names file, line and field.
    """
    records = list(_rows(path, _Rated))
    texts = _texts(path, [(r.id, r.model_id, r.dialogue, r.summary) for r in records], "A")
    counts = {len(r.annotations) for r in records}
    if len(counts) > 1:
        raise UserError(f"{path}: annotations: {min(counts)} to {max(counts)} raters a summary, not one number; {FIX}.")
    raters = {
        dimension: pd.DataFrame([[getattr(one, dimension) for one in r.annotations] for r in records])
        for dimension in _Dimensions.model_fields
    }
    return Ratings("DialSummEval", texts, raters, "A")


def faceval(path: Path) -> Ratings:
    """Read FacEval's rows; the target is minus the number of kinds of factual error.

    Raises:
        UserError: a row or the whole is not of that format; the message names file, line and field.
    """
    records = list(_rows(path, _Checked))
    texts = _texts(path, [(r.dialogue_id, r.system, r.dialogue, r.summary) for r in records], "human_ref")
    kinds = list(_Checked.model_fields)[4:]
    errors = pd.DataFrame([-sum(getattr(r, kind) == "yes" for kind in kinds) for r in records], dtype=float)
    return Ratings("FacEval", texts, {"fewer kinds of factual error": errors}, "human_ref")


def factcorr(path: Path, dialogues: Path) -> Corrections:
    """Read the changed pairs of DialSummFactCorr's safely aligned groups, and DialogSum's test dialogues.

    Raises:
        UserError: a file is not of its format, or a pair's dialogue is not among the dialogues.
    """
    examples = {
        row.fname: Example(
            id=row.fname,
            dialogue_id=row.fname,
            source=row.dialogue,
            references=(row.summary1, row.summary2, row.summary3),
        )
        for row in _rows(dialogues, _Dialogue)
    }
    groups = _groups(path)
    times = pd.Series([group.fname for group in groups]).value_counts()
    safe = [group for group in groups if group.ratio >= SAFE and times[group.fname] == 1]
    pairs = pd.DataFrame(
        [(g.fname, p.summary, p.corrected) for g in safe for p in g.rows if p.summary != p.corrected],
        columns=["dialogue", "summary", "corrected"],
    )
    if pairs.empty:
        raise UserError(f"{path}: no group of a safe ratio ({SAFE} or more) has a changed summary; {FIX}.")
    missing = sorted(set(pairs["dialogue"]) - set(examples))
    if missing:
        raise UserError(f"{dialogues}: fname '{missing[0]}' is missing, which {path} has; name DialogSum's test file.")
    return Corrections(pairs, tuple(examples[name] for name in dict.fromkeys(pairs["dialogue"])))


def _groups(path: Path) -> list[_Group]:
    found = parsing.parse_json(_bytes(path), str(path), FIX)
    if not isinstance(found, list) or not found:
        raise UserError(f"{path} must hold a list of groups; {FIX}.")
    return [_record(_Group, value, f"{path}: group {k}") for k, value in enumerate(found)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a file that is there.") from None


def _rows(path: Path, kind: type[Record]) -> Iterator[Record]:
    """Each row of a JSONL or CSV file as a record."""
    _bytes(path)
    for number, parse in readers.rows(path):
        try:
            value = parse()
        except ValueError as error:
            raise UserError(f"{path} line {number}: not readable ({error}); {FIX}.") from None
        yield _record(kind, value, f"{path} line {number}")


def _record(kind: type[Record], value: Any, where: str) -> Record:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {first_error(error)}; {FIX}.") from None


def _texts(path: Path, rows: list[tuple[str, str, str, str]], reference: str) -> pd.DataFrame:
    """The rows as a table, once it is sure that every system summarised every dialogue once."""
    texts = pd.DataFrame(rows, columns=["dialogue", "system", "source", "summary"])
    counts = pd.crosstab(texts["dialogue"], texts["system"])
    if reference not in counts or counts.shape[0] < 2 or counts.shape[1] < 4:
        raise UserError(f"{path}: needs system '{reference}', three others and two dialogues; {FIX}.")
    odd = counts.stack()
    odd = odd[odd != 1]
    if len(odd):
        (dialogue, system), times = odd.index[0], int(odd.iloc[0])
        raise UserError(
            f"{path}: dialogue '{dialogue}' has {times} summaries of system '{system}' and needs one; {FIX}."
        )
    return texts
