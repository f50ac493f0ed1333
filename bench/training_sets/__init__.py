"""What a source of training sets is: a file of this folder with `Config`, `LEARNS_FROM` and `examples`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core import plugins
from bench.core.blocks import TrainingSetConfig
from bench.core.schema import Example

if TYPE_CHECKING:
    from bench.training.context import TrainContext

Kind = Literal["file", "preferences"]


@dataclass(frozen=True)
class Made:
    """The examples of a training set, and how many came from where or were left out for what."""

    examples: list[Example]
    counts: dict[str, int]


@dataclass(frozen=True)
class Source:
    """The contract of `bench/training_sets/<name>`.

    `Config` types a block of `training_sets`; importing it must not import torch. `LEARNS_FROM` says what its `learns_from`
    names: a file below the project, or a folder of preferences. `examples(config, context)` makes what `sft` is to imitate;
    `check(config, where)` raises UserError where it will not be able to, before anything long begins.
    """

    Config: type[TrainingSetConfig]
    LEARNS_FROM: Kind
    examples: Callable[[Any, TrainContext], Made]
    check: Callable[[Any, TrainContext], None] = lambda config, context: None


def find(name: str) -> Source:
    """Return the source of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Source, plugins.find("training set source", name))
