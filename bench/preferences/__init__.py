"""What a source of preferences is: a file of this folder with `Config`, `LEARNS_FROM` and `rankings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core import plugins
from bench.core.blocks import PreferencesConfig

if TYPE_CHECKING:
    from bench.rankings import Ranking
    from bench.training.context import TrainContext

Kind = Literal["references", "reward", "file"]


@dataclass(frozen=True)
class Source:
    """The contract of `bench/preferences/<name>`.

    `Config` types a block of `preferences`; importing it must not import torch. `LEARNS_FROM` says what its `learns_from`
    names: the training split, whatever ranks (as for a variant that follows a reward), or a file of judgements.
    `rankings(config, context)` makes them, of training dialogues or of the file's own.
    """

    Config: type[PreferencesConfig]
    LEARNS_FROM: Kind
    rankings: Callable[[Any, TrainContext], list[Ranking]]


def find(name: str) -> Source:
    """Return the source of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Source, plugins.find("preferences source", name))
