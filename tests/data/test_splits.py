"""A dialogue is learnt from or tested on, never both; ids are unique and texts are as long as people's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core import storage
from bench.core.blocks import DatasetConfig
from bench.core.schema import Example, Prediction, UserError
from bench.data import predictions, splits

REFUSE, DROP = DatasetConfig(dataset="any"), DatasetConfig(dataset="any", overlap="drop")


def rows(split: str, *sources: str) -> list[Example]:
    return [
        Example(id=f"{split}-{k}", dialogue_id=f"{split}-{k}", source=source, references=("r",))
        for k, source in enumerate(sources)
    ]


def given(train: list[Example], validation: list[Example], test: list[Example]) -> dict[str, list[Example]]:
    return {"train": train, "validation": validation, "test": test}


def test_splits_without_a_common_dialogue_stay_as_they_are() -> None:
    whole = given(rows("train", "a", "b", "a"), rows("validation", "c"), rows("test", "d", "e"))
    assert splits.checked(whole, REFUSE) == (whole, {})


def test_the_same_dialogue_in_train_and_test_is_refused_however_it_is_spaced() -> None:
    whole = given(rows("train", "a", "Hi  You\n there"), rows("validation", "c"), rows("test", "hi you THERE"))
    with pytest.raises(
        UserError,
        match=r"data\.train: 1 dialogues .* 'train-1', which is 'test-0 of test' as well.*data\.overlap: drop",
    ):
        splits.checked(whole, REFUSE)


def test_dropping_keeps_test_before_validation_before_train() -> None:
    whole = given(rows("train", "a", "b", "c", "c", "d"), rows("validation", "b", "c", "e"), rows("test", "c", "f"))
    kept, dropped = splits.checked(whole, DROP)
    assert {split: [e.source for e in found] for split, found in kept.items()} == {
        "train": ["a", "d"],
        "validation": ["b", "e"],
        "test": ["c", "f"],
    }
    assert dropped == {"train": 3, "validation": 1}


def test_a_split_that_is_empty_or_would_be_is_named() -> None:
    with pytest.raises(UserError, match=r"data\.validation: no dialogue is left"):
        splits.checked(given(rows("train", "a"), [], rows("test", "b")), REFUSE)
    with pytest.raises(UserError, match=r"data\.train: no dialogue is left"):
        splits.checked(given(rows("train", "b"), rows("validation", "c"), rows("test", "b")), DROP)


def test_an_id_that_stands_twice_is_named() -> None:
    doubled = [*rows("test", "a"), *rows("test", "b")]
    with pytest.raises(UserError, match=r"data\.test: the id 'test-0' stands twice"):
        splits.checked(given(rows("train", "x"), rows("validation", "y"), doubled), DROP)


def test_a_text_of_a_hundred_thousand_characters_is_a_broken_row_unless_the_study_says_otherwise() -> None:
    whole = given(rows("train", "x", "ab " * 33_334), rows("validation", "y"), rows("test", "z"))
    with pytest.raises(
        UserError, match=r"data\.train: 'train-1' holds a text of 100,00[12] characters, .* allows 50,000"
    ):
        splits.checked(whole, REFUSE)
    wide = DatasetConfig(dataset="any", max_characters=200_000)
    assert splits.checked(whole, wide)[0] == whole
    long_summary = Example(id="s", dialogue_id="s", source="q", references=("short", "w" * 50_001))
    with pytest.raises(UserError, match="'s' holds a text of 50,001 characters"):
        splits.checked(whole | {"test": [long_summary]}, REFUSE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{row}\n{row}\n", r"data/test\.jsonl line 2: the id 'test-0' stands twice"),
        ("", r"data/test\.jsonl holds no dialogue"),
        ("{row}\n\udcff\n", r"data/test\.jsonl is not UTF-8 text \(invalid start byte at byte \d+\)"),
        ("{row}\n{{}}\n", r"data/test\.jsonl line 2: id: Field required; run `dvc repro` to write it again"),
    ],
)
def test_a_split_that_somebody_edited_is_named(workdir: Path, content: str, said: str) -> None:
    text = content.format(row=rows("test", "a")[0].model_dump_json())
    Path("data").mkdir()
    Path("data/test.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=said):
        storage.read_split("test")


EXAMPLES = rows("test", "a", "b")
WRITTEN = [
    Prediction(id=example.id, dialogue_id=example.dialogue_id, output=output, draw=draw, text="x")
    for example in EXAMPLES
    for output, draw in (("greedy", 0), ("sample", 0), ("sample", 1))
]
Change = Callable[[list[Prediction]], list[Prediction]]


def test_whole_summaries_are_taken_in_any_order() -> None:
    predictions.check("lora", EXAMPLES, WRITTEN[::-1], samples=2)
    predictions.check("lora", EXAMPLES, WRITTEN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1:], "greedy summary 0 of 'test-0' is missing"),
        (lambda rows: rows[:-1], "sample summary 1 of 'test-1' is missing"),
        (lambda rows: [*rows, rows[0]], "greedy summary 0 of 'test-0' is one too many"),
        (lambda rows: [*rows, rows[1].model_copy(update={"draw": 2})], "sample summary 2 of 'test-0' is one too many"),
        (lambda rows: [*rows, rows[0].model_copy(update={"draw": 1})], "greedy summary 1 of 'test-0' is one too many"),
        (
            lambda rows: [*rows, rows[0].model_copy(update={"id": "other"})],
            "'other' of dialogue 'test-0' is not in data",
        ),
        (lambda rows: [rows[0].model_copy(update={"dialogue_id": "z"}), *rows[1:]], "'test-0' of dialogue 'z' is not"),
    ],
)
def test_summaries_that_somebody_edited_are_named(change: Change, said: str) -> None:
    with pytest.raises(UserError, match=rf"predictions/lora\.jsonl: {said}.*; run `dvc repro generate@lora`"):
        predictions.check("lora", EXAMPLES, change(WRITTEN), samples=2)
