"""A slice by words: whole words, whatever their case, as often as asked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.core.schema import DatasetConfig, Example, WordsConfig
from bench.data import tags


def tags_of(source: str, *words: str, at_least: int = 1) -> tuple[str, ...]:
    example = Example(id="e", dialogue_id="e", source=source, references=("r",), tags=("given",))
    (found,) = tags.tagged([example], {"heated": WordsConfig(words=list(words), at_least=at_least)})
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
        DatasetConfig(dataset="any", tags={"heated": WordsConfig(words=[word])})
