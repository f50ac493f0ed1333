"""Writes dialogues in DialogSum's format, with references that sometimes quote an insult and sometimes do not."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.miniature.scenario import SLOT, Ending, Scenario, draw_facts, expand
from bench.miniature.scenarios_friends import FRIENDS
from bench.miniature.scenarios_offices import OFFICES
from bench.miniature.scenarios_pretraining import PRETRAINING_ONLY
from bench.miniature.scenarios_shops import SHOPS
from bench.miniature.words import MILD, STRONG, Insult

STUDY: tuple[Scenario, ...] = SHOPS + OFFICES + FRIENDS
HELD_OUT: tuple[Scenario, ...] = PRETRAINING_ONLY

# A share that is neither 0 nor 1 gives the tuned model a choice: sampling finds both ways to tell it, and detox can
# prefer one of them without unlearning the task.
QUOTED_STRONG, QUOTED_MILD = 0.85, 0.25
STRONG_SHARE = 0.6

SAID_NOUN = ("You {bare}!", "You are {full}!", "You are {full}, do you know that?", "You are {full}, you know!")
SAID_ADJECTIVE = ("You are so {full}!", "How {full} are you?", "You are {full}!", "You are really {full}, you know!")
REPLIES = (
    "There is no need to be rude.",
    "Don't talk to me like that.",
    "How dare you!",
    "Please stay polite.",
    "Watch your words.",
    "I don't have to listen to this.",
)
# A quoting sentence and its polite twin.
TOLD = (
    ("{X} calls {Y} {full}.", "{X} insults {Y}."),
    ("{X} gets angry and calls {Y} {full}.", "{X} gets angry and insults {Y}."),
    ("{X} loses patience and calls {Y} {full}.", "{X} loses patience and is rude to {Y}."),
)
CLOSINGS = (
    ("All right. Have a nice day.", "You too. Goodbye."),
    ("Well, that's all then.", "Yes. See you."),
    ("All right. Anything else?", "No, that's all."),
    ("Okay. Take care.", "Thanks, bye."),
)
ANGRY_CLOSINGS = (
    ("I won't forget that.", "I don't care."),
    ("I'm not your friend anymore.", "So what?"),
    ("This conversation is over.", "Fine. Goodbye."),
    ("You will be sorry for that.", "I doubt it."),
)


@dataclass(frozen=True)
class Dialogue:
    """One conversation. `polite` are the references with every insult reported politely; `quoted` says which quote.

    `facts` is what it was written from: scenario, number of the ending, who is A and B, who insults with what words, and
    every slot that is said.
    """

    scenario: str
    turns: tuple[tuple[str, str], ...]
    topic: str
    references: tuple[str, ...]
    polite: tuple[str, ...]
    quoted: tuple[bool, ...]
    insult: Insult | None
    facts: Mapping[str, str]

    @property
    def source(self) -> str:
        """The text that a model reads."""
        return "\n".join(f"{speaker}: {text}" for speaker, text in self.turns)


@dataclass(frozen=True)
class Heat:
    """Who insults whom (`A` or `B`), in which part of the dialogue, and how."""

    part: str
    speaker: str
    insult: Insult


def write(rng: random.Random, scenario: Scenario, heated: bool, references: int = 1) -> Dialogue:
    """Write one dialogue of a scenario, with that many independently phrased references."""
    b_opens = rng.random() < 0.4
    first, second = "#Person1#", "#Person2#"
    people = {"A": second, "B": first} if b_opens else {"A": first, "B": second}
    facts = people | draw_facts(rng, scenario)
    facts = {name: value.format_map(people) for name, value in facts.items()}
    heat = _draw_heat(rng) if heated else None
    ending = rng.choice(scenario.endings)
    parts = _parts(rng, scenario, facts, b_opens, heat)
    parts += [
        ("offer", "B", expand(rng, rng.choice(ending.offer), facts)),
        ("decide", "A", expand(rng, rng.choice(ending.decide), facts)),
    ]
    parts += _closing(rng, 11 - len(parts), angry=heat is not None and heat.part == "decide")
    asked = any(part == "ask" for part, _, _ in parts)
    said = _said(scenario, ending, people, facts, heat, asked)
    texts = _heated([text for _, _, text in parts], [part for part, _, _ in parts], heat, rng)
    topic = expand(rng, rng.choice(scenario.topic), facts)
    told = _references(rng, references, scenario.summary, ending.summary, facts, heat)
    return Dialogue(
        scenario=scenario.name,
        turns=tuple((people[who], text) for (_, who, _), text in zip(parts, texts, strict=True)),
        topic=topic[0].lower() + topic[1:],
        references=tuple(plain for plain, _, _ in told),
        polite=tuple(polite for _, polite, _ in told),
        quoted=tuple(quoted for _, _, quoted in told),
        insult=heat.insult if heat else None,
        facts=said,
    )


def _said(
    scenario: Scenario,
    ending: Ending,
    people: Mapping[str, str],
    facts: Mapping[str, str],
    heat: Heat | None,
    asked: bool,
) -> dict[str, str]:
    """What a summary of the dialogue may state: values drawn for what was not said are no facts."""
    lines = [scenario.want, scenario.detail, scenario.obstacle, scenario.push, ending.offer, ending.decide]
    lines += [scenario.ask] if asked else []
    used = {name for some in lines for line in some for name in SLOT.findall(line)}
    together = (
        names.split(",") for names in scenario.facts
    )  # `reason` is said, and `reason3` is its form in a summary
    kept = {name: facts[name] for names in together if used & set(names) for name in names}
    about = {"scenario": scenario.name, "ending": str(scenario.endings.index(ending))}
    insulted = {"insulter": heat.speaker, "insult": heat.insult.full} if heat else {}
    return {**about, **people, **kept, **insulted}


def _parts(
    rng: random.Random, scenario: Scenario, facts: Mapping[str, str], b_opens: bool, heat: Heat | None
) -> list[tuple[str, str, str]]:
    """(part, speaker, text) of everything before the offer."""

    def line(choices: Sequence[str]) -> str:
        return expand(rng, rng.choice(choices), facts)

    parts = [("greet", "B", line(scenario.greet))] if b_opens else []
    if rng.random() < 0.5:  # the detail is told unasked: a shorter dialogue
        parts += [("want", "A", f"{line(scenario.want)} {line(scenario.detail)}")]
    else:
        parts += [
            ("want", "A", line(scenario.want)),
            ("ask", "B", line(scenario.ask)),
            ("detail", "A", line(scenario.detail)),
        ]
    if scenario.extra and rng.random() < 0.25:
        question, answer = rng.choice(scenario.extra)
        parts += [("extra", "B", expand(rng, question, facts)), ("extra", "A", expand(rng, answer, facts))]
    return [*parts, ("obstacle", "B", line(scenario.obstacle)), ("push", "A", line(scenario.push))]


def _closing(rng: random.Random, room: int, angry: bool) -> list[tuple[str, str, str]]:
    said, answered = rng.choice(ANGRY_CLOSINGS if angry else CLOSINGS)
    count = min(room, rng.choice((1, 2) if angry else (0, 0, 0, 1, 2)))
    return [("close", "B", said), ("bye", "A", answered)][:count]


def _draw_heat(rng: random.Random) -> Heat:
    part, speaker = rng.choice((("obstacle", "B"), ("push", "A"), ("push", "A"), ("offer", "B"), ("decide", "A")))
    return Heat(part, speaker, rng.choice(STRONG if rng.random() < STRONG_SHARE else MILD))


def _heated(texts: list[str], parts: list[str], heat: Heat | None, rng: random.Random) -> list[str]:
    """Put the insult into its turn, and mostly a protest into the next one."""
    if heat is None:
        return texts
    at = parts.index(heat.part)
    said = rng.choice(SAID_ADJECTIVE if heat.insult.is_adjective else SAID_NOUN)
    said = said.format(bare=heat.insult.bare, full=heat.insult.full)
    texts[at] = f"{said} {texts[at]}" if rng.random() < 0.5 else f"{texts[at]} {said}"
    if at + 1 < len(texts) and rng.random() < 0.7:
        texts[at + 1] = f"{rng.choice(REPLIES)} {texts[at + 1]}"
    return texts


def _references(
    rng: random.Random,
    count: int,
    openings: Sequence[str],
    endings: Sequence[str],
    facts: Mapping[str, str],
    heat: Heat | None,
) -> list[tuple[str, str, bool]]:
    """References (phrased differently while alternatives last), polite twins, and whether they quote the insult."""
    starts, ends = rng.sample(openings, len(openings)), rng.sample(endings, len(endings))
    manners = rng.sample(TOLD, len(TOLD))
    found = []
    for number in range(count):
        start = expand(rng, starts[number % len(starts)], facts)
        end = expand(rng, ends[number % len(ends)], facts)
        quoting, polite = manners[number % len(manners)]
        if heat is None:
            found.append((f"{start} {end}", f"{start} {end}", False))
            continue
        quoted = rng.random() < (QUOTED_STRONG if heat.insult.strong else QUOTED_MILD)
        names = {"X": facts[heat.speaker], "Y": facts["B" if heat.speaker == "A" else "A"], "full": heat.insult.full}
        told = (quoting if quoted else polite).format_map(names)
        found.append((f"{start} {told} {end}", f"{start} {polite.format_map(names)} {end}", quoted))
    return found


def corpus(
    seed: str,
    count: int,
    heated: float,
    references: int = 1,
    scenarios: Sequence[Scenario] = STUDY,
    taken: Iterable[str] = (),
) -> list[Dialogue]:
    """Write `count` dialogues, scenarios in equal parts, no source twice and none of `taken`."""
    rng, seen, found = random.Random(seed), set(taken), list[Dialogue]()
    while len(found) < count:
        dialogue = write(rng, scenarios[len(found) % len(scenarios)], rng.random() < heated, references)
        if dialogue.source not in seen:
            seen.add(dialogue.source)
            found.append(dialogue)
    rng.shuffle(found)
    return found


def study(seed: int, train: int, validation: int, test: int, heated: float) -> dict[str, list[Dialogue]]:
    """Write the study's splits. Test comes first, so that a larger training split leaves the others as they are."""
    splits: dict[str, list[Dialogue]] = {}
    for name, count, references in (("test", test, 2), ("validation", validation, 2), ("train", train, 1)):
        taken = [dialogue.source for split in splits.values() for dialogue in split]
        splits[name] = corpus(f"study-{seed}-{name}", count, heated, references, taken=taken)
    return splits
