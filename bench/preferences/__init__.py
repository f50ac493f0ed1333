"""What a source of preferences is: a file of this folder with `Config`, `LEARNS_FROM` and `rankings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core import plugins, storage
from bench.core.blocks import PreferencesConfig

if TYPE_CHECKING:
    from bench.rankings import Ranking
    from bench.training.context import TrainContext

JUDGE = "judge.json"  # in the stage's work: what is to be known of whoever judged
Kind = Literal["references", "reward", "model", "file"]


@dataclass(frozen=True)
class Source:
    """The contract of `bench/preferences/<name>`.

    `Config` types a block of `preferences`; importing it must not import torch. `LEARNS_FROM` says what its `learns_from`
    names: the training split, whatever ranks (as for a variant that follows a reward), a model that judges in words, or a file
    of judgements. `rankings(config, context)` makes them, of training dialogues or of the file's own; what is to be known of
    whoever judged it leaves as `JUDGE` in the stage's work.
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


def about(block: PreferencesConfig, parts: Mapping[str, Sequence[Ranking]], context: TrainContext) -> dict[str, Any]:
    """Say what the report is to know of a block: its source, its counts, and how whoever judged was biased.

    Raises:
        UserError: a part has no pairs.
    """
    from bench import rankings

    judge = context.work.folder / JUDGE
    found = {"source": block.source, "parts": rankings.counted(parts, f"params.yaml: {context.where}")}
    return found | ({"judge": storage.read_json(judge)} if judge.exists() else {})
