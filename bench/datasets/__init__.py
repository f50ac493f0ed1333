"""What a dataset is: a file of this folder with `Config` and `load`. docs/extending.md has a template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.core import plugins
from bench.core.schema import DatasetConfig, Example


@dataclass(frozen=True)
class Dataset:
    """The contract of `bench/datasets/<name>.py`.

    `Config` types the block `data` of params. `load(config)` gives the examples of each split by its name; what holds for
    every dataset (unique ids, no dialogue in two splits) is checked afterwards.
    """

    Config: type[DatasetConfig]
    load: Callable[[Any], dict[str, list[Example]]]


def find(name: str) -> Dataset:
    """Return the dataset of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Dataset, plugins.find("dataset", name))
