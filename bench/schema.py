"""The types that every part of the benchmark shares. Imports nothing of ours, and no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class UserError(Exception):
    """Something the user can mend. The message is one sentence: which file or field, what is wrong, the fix."""


class Strict(BaseModel):
    """Base of every configuration and row: unknown keys are errors, values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Example(Strict):
    """One dialogue with the summaries people wrote of it.

    `id` is unique in a split; `dialogue_id` names the cluster for statistics (several rows may share a dialogue);
    `tags` name slices of the data, for example `heated`.
    """

    id: str = Field(min_length=1)
    dialogue_id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    references: tuple[str, ...] = Field(min_length=1)
    tags: tuple[str, ...] = ()


class Prediction(Strict):
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
    token_ids: tuple[int, ...] = ()
    hit_limit: bool = False
    source_truncated: bool = False


class ScoreRow(Strict):
    """The values that one metric gives one prediction (or one dialogue, for `output: dialogue`)."""

    id: str
    dialogue_id: str
    output: Literal["greedy", "sample", "dialogue"]
    draw: int = Field(ge=0)
    metric: str
    values: dict[str, float]


class TextConfig(Strict):
    """How a dialogue becomes a model's input, the same for training, generation and KL.

    A dialogue that does not fit in `max_source_tokens` loses its end; the instruction after it is kept whole.
    """

    prompt: str = "Summarize the following conversation.\n\n{source}\n\nSummary: "
    max_source_tokens: int = Field(512, ge=8)
    max_target_tokens: int = Field(128, ge=2)


class ComputeConfig(Strict):
    """Where and in which arithmetic the work runs. The thread count changes float32 results, so it is fixed."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(1, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"


class GenerationConfig(Strict):
    """How summaries are written: greedy decoding, and `samples` draws a dialogue at temperature 1."""

    max_new_tokens: int = Field(128, ge=1)
    samples: int = Field(1, ge=0)
    batch_size: int = Field(64, ge=1)
    seed: int = 0


class DatasetConfig(Strict):
    """Base of a dataset's own Config. `dataset` names the file in bench/datasets/."""

    dataset: str

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class CheckpointConfig(Strict):
    """Base of a checkpoint source's own Config. `source` names the file in bench/checkpoints/."""

    source: str

    def check(self) -> None:
        """Raise UserError when what the block names is not at hand. Nothing is read or fetched."""


class MethodConfig(Strict):
    """Base of a method's own Config: what every variant block says.

    `init` names the checkpoint or variant that training starts from. `learns_from` is the path of what teaches it:
    the training split for methods that imitate references, a classifier's folder for methods that follow a reward.
    DVC reruns the variant when either changes, and only then.
    """

    method: str
    init: str
    learns_from: str
    seed: int | None = None


class Column(Strict):
    """What one value of a metric means, for tables and for the gate.

    `unit` is how tables print it: `points` are shown times 100, `share` in per cent, others as they are.
    `statistics` are computed over dialogues (each the mean of its rows): `mean` always; `std`, `p95`, `max` and
    `rate_50`, `rate_10` (share of rows above .5 and .1) where they mean something.
    """

    title: str
    unit: Literal["points", "share", "nats", "logit", "words", "ratio"]
    higher_is_better: bool | None
    statistics: tuple[Literal["mean", "std", "p95", "max", "rate_50", "rate_10"], ...] = ("mean",)
