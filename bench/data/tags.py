"""Tags by words: a slice of the dialogues that neither reward nor judge has chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bench.core.schema import Example, WordsConfig

WORD = re.compile(r"\w+(?:['’]\w+)*")


def tagged(examples: Sequence[Example], tags: Mapping[str, WordsConfig]) -> list[Example]:
    """Add each tag to the examples whose source holds enough of its words, and `not-<tag>` to the others."""
    found = []
    for example in examples:
        words = WORD.findall(example.source.casefold())
        names = (name if _holds(words, config) else f"not-{name}" for name, config in tags.items())
        found.append(example.model_copy(update={"tags": (*example.tags, *names)}))
    return found


def _holds(words: Sequence[str], config: WordsConfig) -> bool:
    wanted = set(config.words)
    return sum(word in wanted for word in words) >= config.at_least
