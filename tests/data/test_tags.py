"""A slice by words: whole words, whatever their case, as often as asked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.core.blocks import DatasetConfig, TagConfig
from bench.core.schema import Example
from bench.data import tags


def tags_of(source: str, *words: str, at_least: int = 1) -> tuple[str, ...]:
    example = Example(id="e", dialogue_id="e", source=source, references=("r",), tags=("given",))
    (found,) = tags.tagged([example], {"heated": TagConfig(words=list(words), at_least=at_least)})
    return found.tags


@pytest.mark.parametrize(
    ("source", "heated"),
    [
        ("You IDIOT!", True),
        ("#Person1#: idiots", False),
        ("an idiotic idea", False),
        ("don't shut up", True),
        ("'idiot'", True),
    ],
)
def test_a_word_counts_where_it_stands_whole(source: str, heated: bool) -> None:
    assert tags_of(source, "idiot", "shut") == ("given", "heated" if heated else "not-heated")


def test_a_word_that_comes_twice_counts_twice() -> None:
    assert tags_of("no, no", "no", at_least=2)[-1] == "heated"
    assert tags_of("no", "no", at_least=2)[-1] == "not-heated"


@pytest.mark.parametrize("word", ["Idiot", "shut up", "", "a-b"])
def test_what_would_never_be_found_is_refused(word: str) -> None:
    with pytest.raises(ValidationError, match="no single word in small letters"):
        DatasetConfig(dataset="any", tags={"heated": TagConfig(words=[word])})


def test_long_dialogues_are_tagged_by_turns_or_words() -> None:
    examples = [
        Example(id=str(n), dialogue_id=str(n), source="\n".join(["you are late, again"] * n), references=("x",))
        for n in range(1, 5)
    ]
    by = {"turns": TagConfig(turns=3), "wordy": TagConfig(length=8)}
    assert [example.tags for example in tags.tagged(examples, by)] == [
        ("not-turns", "not-wordy"),
        ("not-turns", "wordy"),
        ("turns", "wordy"),
        ("turns", "wordy"),
    ]


@pytest.mark.parametrize("rule", [{}, {"turns": 3, "length": 8}, {"words": ["no"], "turns": 2}])
def test_a_tag_has_one_rule(rule: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give one of 'words', 'turns' and 'length'"):
        TagConfig.model_validate(rule)
