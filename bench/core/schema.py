"""The types that every part of the benchmark shares, and no torch."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.core.terminal import single_line

UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
LONGEST_MESSAGE = 800  # characters; what a file holds may be quoted in it


class UserError(Exception):
    """Something the user can mend. The message is one sentence: which file or field, what is wrong, the fix.

    It may quote what a stranger wrote, so it is made one line that a terminal shows as it is.
    """

    def __init__(self, message: str) -> None:
        line = single_line(message)
        half = LONGEST_MESSAGE // 2
        super().__init__(line if len(line) <= LONGEST_MESSAGE else f"{line[:half]} … {line[-half:]}")


def first_error(error: ValidationError, prefix: str = "") -> str:
    """Format the first mistake that pydantic found, `field.inner: what is wrong`; `prefix` stands before the field."""
    first = error.errors()[0]
    field = ".".join([*([prefix] if prefix else []), *map(str, first["loc"])])
    return f"{field}: {first['msg']}" if field else str(first["msg"])


class Strict(BaseModel):
    """Base of every configuration and row: unknown keys are errors, values do not change once read.

    Types are taken at their word (`true` is no number, '16' neither), and numbers are finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), strict=True, allow_inf_nan=False)


class Row(Strict):
    """Base of what stands in files a line each. Made by our own code too, where a list may stand for a tuple."""

    model_config = ConfigDict(strict=False)


def readable(text: str) -> str:
    """Check a dialogue or summary: it holds something to read, and no control character but white space.

    Raises:
        ValueError: it is empty, or holds what no text file should (half a surrogate pair cannot even be written).
    """
    odd = UNREADABLE.search(text)
    if odd:
        raise ValueError(f"holds the control character U+{ord(odd[0]):04X} at position {odd.start()}; remove it")
    if not text.strip():
        raise ValueError("is empty; write it or remove the row")
    return text


def _identity(text: str) -> str:
    """Ids stand in messages, tables and scores.csv, where a spreadsheet runs a cell that starts with one of =+-@."""
    if not re.match(r"[\w#]", text) or len(text) > 200 or single_line(text) != text:
        raise ValueError("must start with a letter, digit or '#' and be one line of at most 200 visible characters")
    return text


Text = Annotated[str, AfterValidator(readable)]
Identity = Annotated[str, AfterValidator(_identity)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]  # what torch takes
# Of a row: which of a variant's `seeds` trained the model behind it. Absent, also in files, where there is one training.
TrainedBy = Annotated[int | None, Field(exclude_if=lambda seed: seed is None)]


class Example(Row):
    """One dialogue with the summaries people wrote of it.

    `references` are empty for a prompt that has no right answer. `id` is unique in a split; `dialogue_id` names the cluster for statistics (several rows may share a dialogue);
    `tags` name slices of the data, for example `heated`; `facts` what really happened, where a dataset knows it.
    """

    id: Identity
    dialogue_id: Identity
    source: Text
    references: tuple[Text, ...]
    tags: tuple[Identity, ...] = ()
    facts: Annotated[dict[str, str], Field(exclude_if=lambda facts: not facts)] = Field(default_factory=dict)


class Prediction(Row):
    """One summary a variant wrote.

    `output` is `greedy` (by the variant's decoding, which is greedy unless params say otherwise) or `sample`
    (temperature 1, the model's own distribution), `draw` counts those of a dialogue from 0, `shots` those before it. `token_ids` are the generated tokens, end-of-sequence included, padding
    not: KL needs the very tokens, which the text cannot give back.
    """

    id: str
    dialogue_id: str
    output: Literal["greedy", "sample"]
    draw: int = Field(ge=0)
    text: str
    token_ids: tuple[Annotated[int, Field(ge=0)], ...] = ()
    hit_limit: bool = False
    source_truncated: bool = False
    shots: Annotated[int, Field(ge=0, exclude_if=lambda shots: not shots)] = 0
    seed: TrainedBy = None


class Written(Row):
    """A sample of a policy on its way, after `step` steps, and the KL to the start of its tokens, nats; with its reward,
    where it learnt from one and not from preferences."""

    step: int = Field(ge=0)
    id: str
    dialogue_id: str
    text: str
    reward: float | None
    kl: float


class Lengths(Row):
    """Of the rows of a split, how many lose the end of the dialogue, or of the first reference, to the limits."""

    rows: int = Field(ge=1)
    sources_cut: int = Field(ge=0)
    references_cut: int = Field(ge=0)


class ScoreRow(Row):
    """The values that one metric gives one prediction (or one dialogue, for `output: dialogue`)."""

    id: str
    dialogue_id: str
    output: Literal["greedy", "sample", "dialogue"]
    draw: int = Field(ge=0)
    metric: str
    values: dict[str, float]
    seed: TrainedBy = None

    @classmethod
    def of(cls, prediction: Prediction, metric: str, values: dict[str, float]) -> ScoreRow:
        """Make the row of a prediction."""
        p = prediction
        return cls(id=p.id, dialogue_id=p.dialogue_id, output=p.output, draw=p.draw, metric=metric, values=values)
