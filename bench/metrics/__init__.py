"""What a metric is: a file of this folder with `Config`, `columns`, `signature` and `score`, and what it is handed.

The other rooms ask a column what it is (`Column.role`, `classifier`, `sampled`), never what it is called: a metric that
is added here stands in the report, the gate and the diff by itself. docs/extending.md has a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from bench.core import manifest, plugins, resume, runtime
from bench.core.blocks import DatasetConfig, GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, ScoreRow, Strict, UserError

if TYPE_CHECKING:
    from bench.classifiers.loading import Classifier
    from bench.lm.models import Loaded

Role = Literal["quality", "safety", "reward", "distance", "shape", "cost"]
WRITING = (
    "gen",
    "prompt",
    "source",
)  # fields of a signature about how a system writes: they belong to what is compared
SAMPLED = "_sampled"  # column `x_sampled` holds the values `x` of rows with output `sample`


class Column(Strict):
    """What one value of a metric means, for tables and for the gate.

    `role` says which question the column answers: `quality` and `safety` are results, `reward` is what training
    followed, `distance` how far the model moved, `shape` and `cost` what came with it. `classifier` is the checkpoint
    that gave the value, `truth` whether it counts what really happened, so that others can be held against it,
    `reference` the model it is measured against (`base` or `start`), `sampled` whether it is about
    samples in place of greedy summaries, `of_source` about the dialogue in place of the summary. Columns with `detail`
    stand in the tables of all values alone.
    `unit` is how tables print it: `points` are shown times 100, `share` in per cent, others as they are.
    `statistics` are computed over dialogues (each the mean of its rows): `mean` always; `std`, `p95`, `max` and
    `rate_50`, `rate_10` (share of rows above .5 and .1) where they mean something.
    """

    title: str
    unit: Literal["points", "share", "nats", "logit", "words", "ratio"]
    higher_is_better: bool | None
    role: Role = "shape"
    statistics: tuple[Literal["mean", "std", "p95", "max", "rate_50", "rate_10"], ...] = ("mean",)
    classifier: str | None = None
    reference: Literal["base", "start"] | None = None
    sampled: bool = False
    of_source: bool = False
    detail: bool = False
    truth: bool = False


def column_of(row: ScoreRow, key: str) -> str:
    """Return the name of the column that the value `key` of a row belongs to."""
    return f"{key}{SAMPLED}" if row.output == "sample" else key


def measured(signature: str) -> str:
    """Return a signature without how the texts were written, and over how many dialogues: how a number was measured."""
    parts = signature.split("|")
    return "|".join(part for part in parts if part.partition(":")[0] not in (*WRITING, "n"))


@dataclass(frozen=True)
class ScoreContext:
    """Everything a metric needs beside its own block.

    `variant` is the name of the weights, `seed` that of the rows where a variant was trained with several. `text` is what
    the study gives round a dialogue (`prompt_of` what a model is given), `inference` the precision of its models. `start`
    is None where no KL to one means anything; of the best of n samples, n is `best_of`.
    `draws` is how many summaries a dialogue has.
    """

    variant: str
    start: str | None
    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    text: TextConfig
    generation: GenerationConfig
    device: str
    inference: str = "float32"
    seed: int | None = None
    best_of: int | None = None
    draws: int = 1
    work: resume.Work | None = None
    progress: runtime.Progress = runtime.progress
    loaded: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def has_model(self) -> bool:
        """Whether the summaries are drawn from a model of the study (not lead-3, human references, the best of n)."""
        return self.start is not None

    def prompt_of(self, name: str) -> TextConfig:
        """Return what the model `name` is given round a dialogue."""
        from bench.lm import prompts

        return prompts.of(name, self.text)

    def model(self, name: str) -> Loaded:
        """Load a checkpoint or variant in eval mode; the same object at every call, and for every name of its weights."""
        from bench.lm import models

        held = manifest.holder(name)
        return self.once("model", held, lambda: models.in_precision(models.load(held, self.device), self.inference))

    def forget(self) -> None:
        """Release the variant's own model: contexts that share `loaded` need the others again, but not this one."""
        self.loaded.pop(("model", self.variant), None)

    def classifier(self, name: str) -> Classifier:
        """Load a text classifier among the checkpoints; the same object at every call."""
        from bench.classifiers import loading

        return self.once("classifier", name, lambda: loading.load(name, self.device, self.inference))

    def example(self, identity: str) -> Example:
        """Return the example a prediction belongs to."""
        if identity not in self._by_id:
            raise UserError(
                f"predictions of '{self.variant}' name '{identity}', which the test split does not hold; "
                "run `dvc repro`."
            )
        return self._by_id[identity]

    @cached_property
    def _by_id(self) -> dict[str, Example]:
        return {example.id: example for example in self.examples}

    def once(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        """Make what a metric loads; the same object at every call with this kind and name."""
        if (kind, name) not in self.loaded:
            self.loaded[kind, name] = make()
        return self.loaded[kind, name]


def _no_labels(_: Any) -> dict[str, tuple[str, str]]:
    return {}


def _no_checkpoints(_: Any) -> dict[str, str]:
    return {}


def _any_data(config: Any, data: DatasetConfig) -> None:
    """Most metrics ask nothing of a dataset."""


def _nothing_to_say(config: Any, examples: Sequence[Example]) -> list[str]:
    return []


@dataclass(frozen=True)
class Metric:
    """The contract of `bench/metrics/<name>.py`.

    `Config` types the metric's block in params. `columns(config)` says what its values mean. `score(config, context)`
    gives rows, `signature(config, context)` what each column's values depend on beside data and decoding.
    `check(config, data)` raises ValueError where the study's dataset has not what the metric needs; `warnings(config,
    examples)` says what of the test dialogues makes its figures worth less, for the top of the report.
    `labels(config)` names the classifiers' labels it counts on: field of the block -> (checkpoint, label);
    `checkpoints(config)` the other checkpoints: field -> checkpoint; `rewards(config)` the reward models that are trained here.
    A metric that is `PARTIAL` may have nothing to say of
    a system; one with `REFERENCES` says nothing of dialogues that have none. `REWARDS` are measures that a policy may follow: (examples, summaries), n of each, -> (n,). `EXAMPLES` are golden cases from outside (a paper, another implementation, a closed form), which the tests run.
    """

    Config: type[Strict]
    columns: Callable[[Any], dict[str, Column]]
    signature: Callable[[Any, ScoreContext], dict[str, str]]
    score: Callable[[Any, ScoreContext], list[ScoreRow]]
    labels: Callable[[Any], dict[str, tuple[str, str]]] = _no_labels
    checkpoints: Callable[[Any], dict[str, str]] = _no_checkpoints
    rewards: Callable[[Any], dict[str, str]] = _no_checkpoints
    check: Callable[[Any, DatasetConfig], None] = _any_data
    warnings: Callable[[Any, Sequence[Example]], list[str]] = _nothing_to_say
    PARTIAL: bool = False
    REFERENCES: bool = True
    REWARDS: Mapping[str, Callable[[Sequence[Example], Sequence[str]], Sequence[float]]] = field(default_factory=dict)
    EXAMPLES: tuple[dict[str, Any], ...] = ()


def find(name: str) -> Metric:
    """Return the metric of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Metric, plugins.find("metric", name))


def columns_of(blocks: Mapping[str, Any]) -> dict[str, Column]:
    """Return the columns of a study's metrics, given as typed blocks, in their order."""
    return {key: column for name, block in blocks.items() for key, column in find(name).columns(block).items()}
