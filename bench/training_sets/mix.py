"""The study's training split with examples of another file mixed in, by share: safety data among instructions, for example."""

from __future__ import annotations

import random
from pathlib import Path

from pydantic import Field

from bench.core.blocks import TrainingSetConfig
from bench.core.schema import Example, UserError
from bench.data import files, instructions
from bench.training.context import TrainContext
from bench.training_sets import Made

LEARNS_FROM = "file"


class Config(TrainingSetConfig):
    """So many examples of the file `learns_from`, drawn by the seed, that they are `share` of the whole; `columns` are its own.

    The split is kept whole and the added ones come on top (as in Bianchi et al. 2024, "Safety-Tuned LLaMAs").
    """

    share: float = Field(gt=0, lt=1)
    columns: instructions.Columns = instructions.Columns()


def examples(config: Config, context: TrainContext) -> Made:
    """Draw and add.

    Raises:
        UserError: the file is missing or broken, or holds too few examples for that share.
    """
    drawn = random.Random(context.seed).sample(*_wanted(config, context))
    own, added = len(context.train), len(drawn)
    marked = [example.model_copy(update={"tags": (*example.tags, "mixed-in")}) for example in drawn]
    return Made([*context.train, *marked], {"of data/train.jsonl": own, f"of {Path(config.learns_from).name}": added})


def check(config: Config, context: TrainContext) -> None:
    """Raise UserError as `examples` would."""
    _wanted(config, context)


def _wanted(config: Config, context: TrainContext) -> tuple[list[Example], int]:
    """What there is to draw from, and how many."""
    known = {example.id for example in context.train}
    held = [
        one for one in files.read(Path(config.learns_from), instructions.reader(config.columns)) if one.id not in known
    ]
    count = max(1, round(len(context.train) * config.share / (1 - config.share)))
    if count > len(held):
        most = int(len(held) / (len(held) + len(context.train)) * 1000) / 1000
        less = f"write at most {most:g}" if most else "give a file with more examples"
        raise UserError(
            f"params.yaml: {context.where}.share: {config.share:g} of the whole is {count} examples beside {len(context.train)}, "
            f"and {config.learns_from} holds {len(held)}; {less}."
        )
    return held, count
