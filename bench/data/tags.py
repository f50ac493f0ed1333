"""Tags by words, turns or length: a slice of the dialogues that neither reward nor judge has chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.core.blocks import TagConfig
from bench.core.schema import Example
from bench.data.texts import words


def tagged(examples: Sequence[Example], tags: Mapping[str, TagConfig]) -> list[Example]:
    """Add each tag to the examples that its rule fits, and `not-<tag>` to the others."""
    found = []
    for example in examples:
        names = (name if _fits(example.source, config) else f"not-{name}" for name, config in tags.items())
        found.append(example.model_copy(update={"tags": (*example.tags, *names)}))
    return found


def _fits(source: str, config: TagConfig) -> bool:
    if config.turns is not None:
        return sum(bool(line.strip()) for line in source.split("\n")) >= config.turns
    own = words(source.casefold())
    if config.length is not None:
        return len(own) >= config.length
    wanted = set(config.words or ())
    return sum(word in wanted for word in own) >= config.at_least
