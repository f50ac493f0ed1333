"""References against copies that were damaged, one step after the other: the right order is known without any rater."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from bench.core.blocks import PreferencesConfig
from bench.core.schema import Example
from bench.data.texts import sentences
from bench.rankings import Ranking
from bench.training.context import TrainContext

LEARNS_FROM = "references"
PEOPLE = ("#Person1#", "#Person2#")
NUMBER = re.compile(r"\b\d[\d:.,]*\b")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")  # a capital within a sentence
REFERENCE = "reference"

Damage = Callable[[random.Random, str, Example, "Others"], str | None]


class Config(PreferencesConfig):
    """`prompts` training dialogues, of each its first reference and `steps` copies, each damaged once more than the one before."""

    prompts: int = Field(2000, ge=1)
    steps: int = Field(3, ge=1, le=8)


class Others:
    """What stands in other dialogues: endings and facts that are wrong here."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self.alike: dict[str, list[Example]] = {}
        for example in examples:
            self.alike.setdefault(example.facts.get("scenario", ""), []).append(example)

    def one(self, rng: random.Random, example: Example) -> Example:
        """Draw another dialogue, of the same kind where kinds are known."""
        return rng.choice(self.alike[example.facts.get("scenario", "")])


def rankings(config: Config, context: TrainContext) -> list[Ranking]:
    """Damage the references of dialogues drawn by the seed."""
    rng, others = random.Random(context.seed), Others(context.train)
    chosen = rng.sample(list(context.train), min(config.prompts, len(context.train)))
    found = []
    for example in chosen:
        texts, labels = [example.references[0]], [REFERENCE]
        for _ in range(config.steps):
            damaged = damage(rng, texts, example, others, labels)
            if damaged is None:
                break
            texts.append(damaged[0])
            labels.append(damaged[1])
        if len(texts) > 1:
            found.append(
                Ranking(
                    id=example.id,
                    dialogue_id=example.dialogue_id,
                    source=example.source,
                    summaries=tuple(texts),
                    scores=tuple(float(-step) for step in range(len(texts))),
                    labels=tuple(labels),
                )
            )
    return found


def damage(
    rng: random.Random, texts: Sequence[str], example: Example, others: Others, done: Sequence[str] = ()
) -> tuple[str, str] | None:
    """Damage the last of some texts in one way that was not `done` yet, into none of them.

    Returns it with the way's name, or None where no way is left.
    """
    ways = [name for name in DAMAGES if name not in done]
    rng.shuffle(ways)
    for name in ways:
        damaged = DAMAGES[name](rng, texts[-1], example, others)
        if damaged is not None and _plain(damaged) not in map(_plain, texts):
            return damaged, name
    return None


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _wrong_ending(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    """The last sentence of another dialogue's reference; of one that ended otherwise, where that is known."""
    parts = sentences(text)
    tried = [others.one(rng, example) for _ in range(20)]
    ending = example.facts.get("ending")
    other = next((one for one in tried if ending is None or one.facts.get("ending") != ending), None)
    if len(parts) < 2 or other is None:
        return None
    return " ".join([*parts[:-1], sentences(other.references[0])[-1]])


def _omission(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    parts = sentences(text)
    if len(parts) < 2:
        return None
    left_out = rng.randrange(len(parts))
    return " ".join(part for i, part in enumerate(parts) if i != left_out)


def _repeated(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    parts = sentences(text)
    place = rng.randrange(len(parts)) if parts else 0
    return " ".join([*parts[: place + 1], *parts[place:]]) if parts else None


def _swapped(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    """The two people change places."""
    one, other = PEOPLE
    if one not in text and other not in text:
        return None
    return re.sub(f"{one}|{other}", lambda found: other if found[0] == one else one, text)


def _wrong_fact(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    """A value that the dataset knows of this dialogue becomes that of another; else a number or a name does."""
    held = [
        (key, value)
        for key, value in _values(example.facts).items()
        if re.search(rf"\b{re.escape(value)}\b", text, re.I)
    ]
    if held:
        key, value = rng.choice(held)
        some = rng.sample(list(others.examples), min(50, len(others.examples)))
        wrong = [v for e in some if (v := _values(e.facts).get(key)) and v.lower() != value.lower()]
        return _replaced(text, value, wrong[0]) if wrong else None
    for pattern in (NUMBER, NAME):
        known = pattern.findall(text)
        other = [word for word in pattern.findall(others.one(rng, example).source) if word not in text]
        if known and other:
            return _replaced(text, rng.choice(known), rng.choice(other))
    return None


def _replaced(text: str, right: str, wrong: str) -> str:
    return re.sub(rf"\b{re.escape(right)}\b", lambda _: wrong, text, flags=re.IGNORECASE)


def _values(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts that are words of the dialogue: roles and the scenario's own numbers are not."""
    return {
        k: v for k, v in facts.items() if len(v) > 2 and k not in ("scenario", "ending", "insulter", "insult", "A", "B")
    }


def _insult(rng: random.Random, text: str, example: Example, others: Others) -> str | None:
    """The dialogue's insult, quoted."""
    insult, who = example.facts.get("insult"), example.facts.get("insulter", "")
    if not insult or insult.lower() in text.lower():
        return None
    return f'{text} {example.facts.get(who, PEOPLE[0])} says: "{insult}"'


DAMAGES: dict[str, Damage] = {
    "wrong ending": _wrong_ending,
    "wrong fact": _wrong_fact,
    "omission": _omission,
    "repeated": _repeated,
    "people swapped": _swapped,
    "insult quoted": _insult,
}
