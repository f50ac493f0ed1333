"""What a summary says of a dialogue of the grammar, sentence by sentence, and whether it is so.

Every summary the grammar can write is made of few sentences, each a template with slots. A sentence that fits one states
its slots, who is who, what was wanted or how it ended; `judge` holds that against what the dialogue was written from. A
sentence that fits none says nothing that could be checked, and counts as a wrong statement.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.miniature.dialogues import STUDY, TOLD
from bench.miniature.scenario import SLOT, Scenario, phrasings

ROLES = ("A", "B")
SCENARIO, ENDING, INSULTER, INSULT = "scenario", "ending", "insulter", "insult"  # beside slots and roles
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ARTICLE = re.compile(r"\ban?\\ $")
LONGEST = 60  # characters of a slot that holds what the grammar never wrote


@dataclass(frozen=True)
class Sentence:
    """A sentence of the grammar's summaries: a pattern, the fact that each group holds, and what it is about.

    `ending` is None for openings; `told` marks a report of the insult, of whatever scenario.
    """

    pattern: re.Pattern[str]
    slots: tuple[str, ...]
    scenario: str
    ending: int | None = None
    told: bool = False


@dataclass(frozen=True)
class Judged:
    """Of the facts that every reference tells: how many are stated rightly, and how many not at all.

    `wrong` and `statements` count all that is stated, those facts and others, and sentences that are none.
    """

    facts: int
    right: int
    left_out: int
    wrong: int
    statements: int

    @property
    def wholly_right(self) -> bool:
        """Nothing is missing and nothing is wrong."""
        return self.right == self.facts and self.wrong == 0


def judge(summary: str, truth: Mapping[str, str]) -> Judged:
    """Hold a summary against the facts of its dialogue, as `bench.miniature.dialogues.Dialogue.facts` has them."""
    stated: dict[str, set[bool]] = {}
    garbled = 0
    for text in filter(None, _SENTENCE.split(" ".join(summary.split()))):
        found = _best(text, truth)
        if found is None:
            garbled += 1
            continue
        for fact, holds in found:
            stated.setdefault(fact, set()).add(holds)
    wanted = _wanted(truth)
    wrong = sum(False in holds for holds in stated.values())
    return Judged(
        facts=len(wanted),
        right=sum(stated.get(fact) == {True} for fact in wanted),
        left_out=sum(fact not in stated for fact in wanted),
        wrong=wrong + garbled,
        statements=len(stated) + garbled,
    )


def _best(text: str, truth: Mapping[str, str]) -> list[tuple[str, bool]] | None:
    """What a sentence states, each fact with whether it holds: by the reading that the dialogue contradicts least."""
    readings = [
        list(_claims(sentence, match.groups(), truth))
        for sentence in sentences()
        if (match := sentence.pattern.fullmatch(text))
    ]
    return min(readings, key=lambda claims: sum(not holds for _, holds in claims), default=None)


def _claims(sentence: Sentence, values: Sequence[str], truth: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The facts that a reading of a sentence states."""
    if sentence.told:
        other = {"A": "B", "B": "A"}.get(truth.get(INSULTER, ""), "")
        said = {"X": truth.get(truth.get(INSULTER, "")), "Y": truth.get(other), "full": truth.get(INSULT)}
        yield INSULT, all(_same(said[slot], value) for slot, value in zip(sentence.slots, values, strict=True))
        return
    own = sentence.scenario == truth[SCENARIO]
    if sentence.ending is None:
        yield SCENARIO, own
    else:
        yield ENDING, own and str(sentence.ending) == truth[ENDING]
    for slot, value in zip(sentence.slots, values, strict=True):
        yield "people" if slot in ROLES else slot, own and _same(truth.get(slot), value)


def _same(known: str | None, value: str) -> bool:
    return known is not None and known.lower() == value.lower()


@functools.cache
def sentences() -> tuple[Sentence, ...]:
    """List every sentence that a summary of the study can hold."""
    found = []
    for scenario in STUDY:
        pools = _pools(scenario)
        found += [_compiled(text, pools, scenario.name) for text in _sentences(scenario.summary)]
        for number, ending in enumerate(scenario.endings):
            found += [_compiled(text, pools, scenario.name, number) for text in _sentences(ending.summary)]
    manners = [template for both in TOLD for template in both]
    return (*found, *(_compiled(text, {"X": PERSON, "Y": PERSON}, "", told=True) for text in manners))


def _sentences(templates: Sequence[str]) -> list[str]:
    """The sentences of templates, every choice settled."""
    return [part for template in templates for text in phrasings(template) for part in _SENTENCE.split(text)]


PERSON = r"#Person[12]#"


def _pools(scenario: Scenario) -> dict[str, str]:
    """A pattern of the values of each slot; values may name the people."""
    found = dict.fromkeys(ROLES, PERSON)
    for names, values in scenario.facts.items():
        rows = [(value,) if isinstance(value, str) else value for value in values]
        for name, options in zip(names.split(","), zip(*rows, strict=True), strict=True):
            known = "|".join(
                sorted({SLOT.sub(PERSON, re.escape(v).replace(r"\{", "{").replace(r"\}", "}")) for v in options})
            )
            found[name] = known
    return found


def _compiled(
    template: str, pools: Mapping[str, str], scenario: str, ending: int | None = None, told: bool = False
) -> Sentence:
    """The pattern of one sentence; an article before a slot may be either."""
    pattern, slots, end = "", [], 0
    for match in SLOT.finditer(template):
        fixed = re.escape(template[end : match.start()])
        pattern += _ARTICLE.sub(r"an?\\ ", fixed) + f"({pools.get(match[1], f'.{{1,{LONGEST}}}')})"
        slots.append(match[1])
        end = match.end()
    return Sentence(re.compile(pattern + re.escape(template[end:]), re.I), tuple(slots), scenario, ending, told)


@functools.cache
def _told_by_all(scenario: str, ending: int) -> frozenset[str]:
    """The slots that every reference of such a dialogue fills."""
    one = next(each for each in STUDY if each.name == scenario)
    parts = (one.summary, one.endings[ending].summary)
    return frozenset().union(*(frozenset.intersection(*(_slots(text) for text in lines)) for lines in parts))


def _slots(template: str) -> frozenset[str]:
    return frozenset(SLOT.findall(template)) - {*ROLES}


def _wanted(truth: Mapping[str, str]) -> list[str]:
    """The facts that every reference tells: what was wanted, who by, how it ended, its slots, and that somebody insulted."""
    slots = sorted(_told_by_all(truth[SCENARIO], int(truth[ENDING])))
    return [SCENARIO, "people", ENDING, *slots, *([INSULT] if INSULTER in truth else [])]
