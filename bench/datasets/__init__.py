"""What a dataset is: a file of this folder with `Config` and `load`. docs/extending.md has a template."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.core import plugins
from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, UserError


@dataclass(frozen=True)
class Dataset:
    """The contract of `bench/datasets/<name>.py`.

    `Config` types the block `data` of params. `load(config)` gives the examples of each split by its name; what holds for
    every dataset (unique ids, no dialogue in two splits) is checked afterwards. `DIALOGUES` is false where the sources are
    no dialogues: their first three turns are no summary to beat, and a prompt that asks for one is refused.
    """

    Config: type[DatasetConfig]
    load: Callable[[Any], dict[str, list[Example]]]
    DIALOGUES: bool = True


def find(name: str) -> Dataset:
    """Return the dataset of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Dataset, plugins.find("dataset", name))


def load_other(name: str, config: DatasetConfig) -> list[Example]:
    """Load the test split of the dataset `name` of `evaluate_on`.

    Raises:
        UserError: as the dataset's own `load`, naming that block.
    """
    try:
        return find(config.dataset).load(config)["test"]
    except UserError as error:
        raise UserError(in_block(str(error), name)) from None


def in_block(said: str, name: str) -> str:
    """Let what is said of the study's own dataset be said of the dataset `name` of `evaluate_on`, which has a test split."""
    said = re.sub(r"\bdata\.(train|validation)\.", "data.test.", said)
    return re.sub(r"\bdata\.(?=(test|path|repo|revision|max_characters)\b)", f"evaluate_on.{name}.", said)
