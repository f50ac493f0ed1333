"""The types that every part of the benchmark shares, and no torch."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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

    `id` is unique in a split; `dialogue_id` names the cluster for statistics (several rows may share a dialogue);
    `tags` name slices of the data, for example `heated`; `facts` what really happened, where a dataset knows it.
    """

    id: Identity
    dialogue_id: Identity
    source: Text
    references: tuple[Text, ...] = Field(min_length=1)
    tags: tuple[Identity, ...] = ()
    facts: Annotated[dict[str, str], Field(exclude_if=lambda facts: not facts)] = Field(default_factory=dict)


class Prediction(Row):
    """One summary a variant wrote.

    `output` is `greedy` (deterministic decoding) or `sample` (temperature 1, the model's own distribution), `draw`
    counts the samples of a dialogue from 0. `token_ids` are the generated tokens, end-of-sequence included, padding
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
    seed: TrainedBy = None


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


class TextConfig(Strict):
    """How a dialogue becomes a model's input, the same for training, generation and KL.

    A dialogue that does not fit in `max_source_tokens` loses its end; the instruction after it is kept whole. With `chat`
    the prompt is what a user says, in the tokenizer's chat template, and the summary is the assistant's answer.
    `chat_options` are the template's own switches (`enable_thinking: false`); `chat_date` is today to a template that
    asks for the date, so that the same study has the same input tomorrow.
    """

    prompt: str = "Summarize the following conversation.\n\n{source}\n\nSummary: "
    chat: bool = False
    chat_options: dict[str, bool | int | float | str] = {}
    chat_date: date | None = None
    max_source_tokens: int = Field(512, ge=8, le=1_000_000)
    max_target_tokens: int = Field(128, ge=2, le=1_000_000)

    @property
    def prompt_digest(self) -> str:
        """The identity of what stands round a dialogue: a sha256 over the prompt, whether a chat template holds it, and how."""
        parts: list[Any] = [self.prompt, self.chat]
        if self.chat_options or self.chat_date:
            parts += [self.chat_options, str(self.chat_date)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _chat_is_on(self) -> TextConfig:
        if not self.chat and (self.chat_options or self.chat_date):
            field = "chat_options" if self.chat_options else "chat_date"
            raise ValueError(f"'{field}' is about a chat template, and 'chat' is false; write chat: true or remove it")
        return self

    @field_validator("prompt")
    @classmethod
    def _one_place(cls, prompt: str) -> str:
        if prompt.count("{source}") != 1:
            raise ValueError("must say once where the dialogue stands, as {source}")
        return prompt


class ComputeConfig(Strict):
    """Where and in which arithmetic the work runs. The thread count changes float32 results, so it is fixed.

    `processes` share training and generation, each with `threads` threads (and a GPU of its own where there are GPUs).
    `precision` is that of training (bfloat16 by autocast, weights in float32), `inference` that of writing and scoring.
    `tf32` lets a GPU round what it multiplies in float32 to TF32's 10 bits. With `sharding: fsdp` the
    processes also share out weights, gradients and the optimiser's state where `sft` trains every weight.
    Training keeps its state every `save_seconds`; a killed `dvc repro` goes on from there.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(1, ge=1, le=1024)
    processes: int = Field(1, ge=1, le=1024)
    sharding: Literal["none", "fsdp"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"
    inference: Literal["float32", "bfloat16"] = "float32"
    tf32: bool = False
    save_seconds: float = Field(300.0, ge=0)

    @property
    def arithmetic(self) -> str:
        """How summaries are written and scored: `float32`, `tf32` or `bfloat16`."""
        return "tf32" if self.tf32 and self.inference == "float32" else self.inference

    @field_validator("precision", "inference", mode="before")
    @classmethod
    def _wide_enough(cls, precision: Any) -> Any:
        if precision in ("float16", "fp16", "half"):
            raise ValueError("T5's feed-forward layers exceed float16's largest number, 65,504; write 'bfloat16'")
        return precision


class GenerationConfig(Strict):
    """How summaries are written: greedy decoding, and `samples` draws a dialogue at temperature 1."""

    max_new_tokens: int = Field(128, ge=1, le=1_000_000)
    samples: int = Field(1, ge=0, le=1000)
    batch_size: int = Field(64, ge=1)
    seed: Seed = 0


class WordsConfig(Strict):
    """The words by which a dialogue is tagged: `at_least` so many of its words are among them."""

    words: list[str] = Field(min_length=1)
    at_least: int = Field(1, ge=1)

    @field_validator("words")
    @classmethod
    def _as_compared(cls, words: list[str]) -> list[str]:
        wrong = next(
            (word for word in words if word != word.casefold() or not re.fullmatch(r"\w+(['’]\w+)*", word)), None
        )
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no single word in small letters; write one")
        return words


class DatasetConfig(Strict):
    """Base of a dataset's own Config. `dataset` names the file in bench/datasets/.

    `tags` name slices of the dialogues by words that stand in them, for the report and for a method's prompts.
    `overlap` says what happens to a dialogue that stands in two splits: the run is refused, or it stays in the later
    split alone. A text above `max_characters` is taken for a broken file.
    """

    dataset: str
    tags: dict[Identity, WordsConfig] = Field(default_factory=dict)
    overlap: Literal["refuse", "drop"] = "refuse"
    max_characters: int = Field(50_000, ge=1)

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class CheckpointConfig(Strict):
    """Base of a checkpoint source's own Config. `source` names the file in bench/checkpoints/.

    `problem_type` says of a classifier whose config does not that its labels are one choice.
    """

    source: str
    problem_type: Literal["single_label_classification"] | None = None

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class MethodConfig(Strict):
    """Base of a method's own Config: what every variant block says.

    `init` names the checkpoint or variant that training starts from. `learns_from` is the path of what teaches it:
    the training split for methods that imitate references, a classifier's folder for methods that follow a reward.
    DVC reruns the variant when either changes, and only then. `seeds`, in place of `seed`, trains the variant once with
    each: scores are averaged over the trainings, and the report adds their spread. What starts from the variant starts
    from the first.
    """

    method: str
    init: str
    learns_from: str
    seed: Seed | None = None
    seeds: Annotated[tuple[Seed, ...], Field(strict=False)] | None = None
