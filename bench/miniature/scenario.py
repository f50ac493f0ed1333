"""What a scenario of the grammar consists of. In templates `{name}` is a fact and `[a|b]` a choice."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Lines = tuple[str, ...]

SLOT = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"(?<=\b[aA])(?= [aeio])|(?<=\b[aA])(?= umbrella)")
_START = re.compile(r"(?:^|(?<=[.!?] ))[a-z]")


@dataclass(frozen=True)
class Ending:
    """How a dialogue ends: B offers, A decides, and a reference says so."""

    offer: Lines
    decide: Lines
    summary: Lines


@dataclass(frozen=True)
class Scenario:
    """One kind of conversation between A, who wants something, and B, who cannot simply give it.

    Every field of lines holds alternatives. `facts` maps names to their values; a name such as `item,fault` draws
    several facts together. `detail` answers `ask`, and must also read well without it. `extra` are questions and
    answers that no reference mentions. `summary` tells the wish, the detail and the obstacle.
    """

    name: str
    topic: Lines
    facts: Mapping[str, tuple[str | tuple[str, ...], ...]]
    greet: Lines
    want: Lines
    ask: Lines
    detail: Lines
    obstacle: Lines
    push: Lines
    endings: tuple[Ending, ...]
    summary: Lines
    extra: tuple[tuple[str, str], ...] = field(default=())


def draw_facts(rng: random.Random, scenario: Scenario) -> dict[str, str]:
    """Draw one value for each fact. Facts of one pool (`day`, `other_day`) differ from each other."""
    found: dict[str, str] = {}
    for names, values in scenario.facts.items():
        free = [value for value in values if isinstance(value, tuple) or value not in found.values()]
        value = rng.choice(free)
        found.update(zip(names.split(","), (value,) if isinstance(value, str) else value, strict=True))
    return found


def phrasings(template: str) -> list[str]:
    """List every way to settle the choices of a template; its facts stay open."""
    fixed, options = _CHOICE.split(template)[::2], [match.split("|") for match in _CHOICE.findall(template)]
    made = ["".join(itertools.chain(*zip(fixed, [*chosen, ""], strict=True))) for chosen in itertools.product(*options)]
    return [" ".join(text.split()) for text in made]


def expand(rng: random.Random, template: str, facts: Mapping[str, str]) -> str:
    """Settle the choices of a template, then fill in the facts; mend articles and capitals."""
    text = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    text = " ".join(text.format_map(facts).split())
    text = _ARTICLE.sub("n", text)
    return _START.sub(lambda match: match[0].upper(), text)
