"""The hermetic dataset: seeds, splits, tags, references."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from bench.datasets import miniature


@pytest.fixture(scope="module")
def splits():
    return miniature.load(miniature.Config())


def test_a_seed_gives_the_same_rows_and_another_seed_others(splits):
    again = miniature.load(miniature.Config())
    other = miniature.load(miniature.Config(seed=1))
    assert again == splits
    assert not {row.source for row in other["test"]} & {row.source for row in splits["test"]}


def test_a_larger_training_split_leaves_the_test_split_alone(splits):
    small = miniature.load(miniature.Config(train=10))
    assert small["test"] == splits["test"] and small["validation"] == splits["validation"]
    assert len(small["train"]) == 10


def test_splits_have_their_sizes_and_share_no_dialogue(splits):
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 3000, "validation": 200, "test": 400}
    sources = [row.source for rows in splits.values() for row in rows]
    assert len(set(sources)) == len(sources)


def test_rows_are_named_tagged_and_referenced(splits):
    for split, rows in splits.items():
        for number, row in enumerate(rows):
            assert row.id == row.dialogue_id == f"{split}-{number:05d}"
            assert len(row.references) == (1 if split == "train" else 2)
            assert len(set(row.references)) == len(row.references)
            assert row.tags[0] in ("heated", "calm") and len(row.tags) == 2
    assert len({row.tags[1] for row in splits["train"]}) == 9


def test_dialogues_have_dialogsums_format(splits):
    for row in splits["train"]:
        turns = row.source.split("\n")
        assert 5 <= len(turns) <= 11
        for number, turn in enumerate(turns):
            assert turn.startswith(f"#Person{number % 2 + 1}#: ")


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_heated_dialogues_is_as_asked(share):
    rows = miniature.load(miniature.Config(train=1000, validation=1, test=1, heated=share))["train"]
    assert sum("heated" in row.tags for row in rows) / 1000 == pytest.approx(share, abs=0.05)


def test_a_share_above_one_is_refused():
    with pytest.raises(ValidationError):
        miniature.Config(heated=1.5)


def test_importing_the_plugins_loads_no_torch():
    code = (
        "import sys; import bench.datasets.miniature, bench.checkpoints.miniature_t5, "
        "bench.checkpoints.miniature_classifier; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
