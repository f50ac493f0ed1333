"""Instructions and answers, as CodeAlpaca, Alpaca or self-instruct release them; the splits from one file where there is one."""

from __future__ import annotations

from bench.core import paths
from bench.core.schema import Example
from bench.data import files, instructions

DIALOGUES = False


class Config(files.FilesConfig):
    """`columns` of all files, Alpaca's when absent."""

    columns: instructions.Columns = instructions.Columns()


def load(config: Config) -> dict[str, list[Example]]:
    """Load the three splits. Rows with the same instruction and input give it all their answers; one without is left out."""
    readers = {split: instructions.reader(config.columns) for split in paths.SPLITS}

    return files.load(config, lambda row, split: readers[split](row))
