"""Whether a summary is true: cases judged by hand, and every reference of the grammar."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from bench import config
from bench.core import parsing
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.metrics import ScoreContext, facts
from bench.miniature import dialogues
from bench.miniature import facts as reading
from bench.miniature.scenario import SLOT

ROOT = Path(__file__).resolve().parents[2]
REFUND = {
    "scenario": "refund",
    "ending": "0",
    "A": "#Person1#",
    "B": "#Person2#",
    "item": "kettle",
    "fault": "leaks",
    "day": "Monday",
    "price": "40",
}
HEATED = REFUND | {"insulter": "B", "insult": "a rotten crook"}
WISH = "#Person1# asks #Person2# for a refund for a kettle that leaks. #Person2# needs the receipt, which #Person1# has lost."
DATED = "#Person1# bought a kettle on Monday and it leaks. #Person2# can't give a refund without a receipt."
VOUCHER = "#Person1# takes a voucher for 40 dollars."
# Facts of a refund that ends with a voucher: wish, people, ending, item, fault, price; and the insult where there is one.
# Each case: summary, facts, (right, left out, wrong, statements).
CASES: dict[str, tuple[str, dict[str, str], tuple[int, int, int, int]]] = {
    "all of it": (f"{WISH} {VOUCHER}", REFUND, (6, 0, 0, 6)),
    "in other words": (
        f"{DATED} In the end, #Person2# gives #Person1# a voucher for 40 dollars.",
        REFUND,
        (6, 0, 0, 7),
    ),
    "a day that no reference must tell, and it is wrong": (
        f"{DATED.replace('Monday', 'Friday')} {VOUCHER}",
        REFUND,
        (6, 0, 1, 7),
    ),
    "people swapped everywhere": (
        f"{WISH} {VOUCHER}".replace("#Person1#", "X").replace("#Person2#", "#Person1#").replace("X", "#Person2#"),
        REFUND,
        (5, 0, 1, 6),
    ),
    "people swapped in one sentence": (f"{WISH} {VOUCHER.replace('1', '2')}", REFUND, (5, 0, 1, 6)),
    "another item": (f"{WISH.replace('kettle', 'lamp')} {VOUCHER}", REFUND, (5, 0, 1, 6)),
    "another fault": (f"{WISH.replace('leaks', 'does not turn on')} {VOUCHER}", REFUND, (5, 0, 1, 6)),
    "another price": (f"{WISH} {VOUCHER.replace('40', '90')}", REFUND, (5, 0, 1, 6)),
    "another ending": (f"{WISH} #Person1# leaves it for repair until Friday.", REFUND, (4, 1, 2, 6)),
    "no ending": (WISH, REFUND, (4, 2, 0, 4)),
    "the ending alone": (VOUCHER, REFUND, (3, 3, 0, 3)),
    "the same twice": (f"{WISH} {VOUCHER} {VOUCHER}", REFUND, (6, 0, 0, 6)),
    "two prices": (f"{WISH} {VOUCHER} #Person1# accepts a voucher for 90 dollars.", REFUND, (5, 0, 1, 6)),
    "another conversation": ("They agree on seven o'clock.", REFUND, (0, 5, 2, 2)),
    "garbled": ("#Person1# asks #Person2# for a refund for the the the.", REFUND, (0, 6, 1, 1)),
    "garbled among what is right": (f"{WISH} {VOUCHER} They say that.", REFUND, (6, 0, 1, 7)),
    "nothing": (" \n", REFUND, (0, 6, 0, 0)),
    "an insult quoted": (f"{WISH} #Person2# calls #Person1# a rotten crook. {VOUCHER}", HEATED, (7, 0, 0, 7)),
    "an insult reported politely": (f"{WISH} #Person2# insults #Person1#. {VOUCHER}", HEATED, (7, 0, 0, 7)),
    "an insult by the other": (f"{WISH} #Person1# insults #Person2#. {VOUCHER}", HEATED, (6, 0, 1, 7)),
    "other words": (f"{WISH} #Person2# calls #Person1# an idiot. {VOUCHER}", HEATED, (6, 0, 1, 7)),
    "an insult left out": (f"{WISH} {VOUCHER}", HEATED, (6, 1, 0, 6)),
    "an insult invented": (f"{WISH} #Person2# insults #Person1#. {VOUCHER}", REFUND, (6, 0, 1, 7)),
}


@pytest.mark.parametrize("case", CASES)
def test_cases_judged_by_hand(case: str) -> None:
    summary, truth, (right, left_out, wrong, statements) = CASES[case]
    found = reading.judge(summary, truth)
    assert found == reading.Judged(7 if "insult" in truth else 6, right, left_out, wrong, statements)
    assert found.wholly_right == (right == found.facts and wrong == 0)


DIALOGUES = dialogues.corpus("facts", 600, 0.3, references=2)


def test_every_reference_is_wholly_right_quoting_or_polite() -> None:
    for dialogue in DIALOGUES:
        for text in (*dialogue.references, *dialogue.polite):
            assert reading.judge(text, dialogue.facts).wholly_right, (text, dict(dialogue.facts))


def test_a_reference_with_one_value_exchanged_is_not() -> None:
    """Each slot that the reference tells, for another value of the same kind."""
    rng, changed = random.Random(0), 0
    for dialogue in DIALOGUES:
        scenario = next(each for each in dialogues.STUDY if each.name == dialogue.scenario)
        for names, values in scenario.facts.items():
            known = dialogue.facts.get(names.split(",")[-1])
            others = [v if isinstance(v, str) else v[-1] for v in values]
            others = [v for v in others if known and "{" not in v and v.lower() != known.lower()]
            if known is None or f" {known} " not in f" {dialogue.references[0]} ".replace(".", " ").replace(",", " "):
                continue
            text = dialogue.references[0].replace(known, rng.choice(others))
            if sum(known in str(value) for value in dialogue.facts.values()) > 1:
                continue  # one word in two slots
            changed += 1
            assert not reading.judge(text, dialogue.facts).wholly_right, (text, dict(dialogue.facts))
    assert changed > 500


def test_swapping_the_people_is_never_right() -> None:
    for dialogue in DIALOGUES:
        text = dialogue.references[0].replace("#Person1#", "#P#").replace("#Person2#", "#Person1#")
        text = text.replace("#P#", "#Person2#")
        if text != dialogue.references[0]:
            assert not reading.judge(text, dialogue.facts).wholly_right


def test_facts_are_what_the_dialogue_says() -> None:
    for dialogue in DIALOGUES:
        scenario = next(each for each in dialogues.STUDY if each.name == dialogue.scenario)
        ending = scenario.endings[int(dialogue.facts["ending"])]
        parts = (
            scenario.want,
            scenario.detail,
            scenario.obstacle,
            scenario.push,
            ending.offer,
            ending.decide,
        )
        slots = [[set(SLOT.findall(line)) for line in lines] for lines in parts]
        for always in (set.intersection(*some) for some in slots):  # whichever phrasing was drawn
            for slot in always - {"A", "B"}:
                assert dialogue.facts[slot].lower() in dialogue.source.lower()
        parts = (*parts, scenario.ask)
        slots = [[set(SLOT.findall(line)) for line in lines] for lines in parts]
        never = set(",".join(scenario.facts).split(",")) - set().union(*(names for some in slots for names in some))
        alone = {name for names in scenario.facts for name in names.split(",") if set(names.split(",")) <= never}
        assert not alone & dialogue.facts.keys(), "a value drawn for another ending is no fact"


def context(variant: str, texts: dict[str, str], known: dict[str, str]) -> ScoreContext:
    examples = [Example(id=k, dialogue_id=k, source="a", references=("b",), facts=known) for k in texts]
    rows = [
        Prediction(id=k, dialogue_id=k, output=output, draw=0, text=text)  # type: ignore[arg-type]
        for k, text in texts.items()
        for output in ("greedy", "sample")
    ]
    return ScoreContext(
        variant=variant,
        start="base",
        examples=examples,
        predictions=rows,
        text=TextConfig(),
        generation=GenerationConfig(),
        device="cpu",
    )


def test_rows_of_greedy_summaries_and_of_samples() -> None:
    rows = facts.score(facts.Config(), context("full", {"a": f"{WISH} {VOUCHER}", "b": WISH}, REFUND))
    assert [row.output for row in rows] == ["greedy", "sample"] * 2
    assert rows[0].values == {"facts_right": 1, "facts_wrong": 0, "facts_left_out": 0, "wholly_right": 1}
    assert rows[2].values == {"facts_right": 4 / 6, "facts_wrong": 0, "facts_left_out": 2 / 6, "wholly_right": 0}
    assert set(facts.signature(facts.Config(), context("full", {}, {}))) == set(facts.columns(facts.Config()))


def test_copied_turns_are_not_judged() -> None:
    assert facts.score(facts.Config(), context("lead-3", {"a": "#Person1#: hello"}, REFUND)) == []


def test_a_dialogue_without_facts_is_one_sentence() -> None:
    with pytest.raises(UserError, match="'a' has no facts; run `dvc repro`"):
        facts.score(facts.Config(), context("full", {"a": "b"}, {}))


def test_another_dataset_is_refused_before_anything_runs(workdir: Path) -> None:
    path = ROOT / "studies" / "dialogsum-small-cut.yaml"
    params: dict[str, Any] = parsing.parse_yaml(path.read_bytes(), str(path))
    params["metrics"]["facts"] = {}
    with pytest.raises(UserError, match=r"metrics\.facts: only the dataset 'miniature' knows .* remove the block"):
        config.parse(params, "params.yaml")
