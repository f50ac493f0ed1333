"""The grammar: natural text, and a polite ceiling that a perfect detox can reach."""

from __future__ import annotations

import random
import re
import statistics

import pytest

from bench.miniature import dialogues
from bench.miniature.scenario import expand
from bench.miniature.words import MILD, STRONG


@pytest.fixture(scope="module")
def written():
    return dialogues.corpus("test", 1500, heated=0.5, references=2)


def test_choices_facts_articles_and_capitals():
    text = expand(
        random.Random(0), "[so|so], it is a {item}. it is a {other}[|]!", {"item": "umbrella", "other": "car"}
    )
    assert text == "So, it is an umbrella. It is a car!"


def test_no_template_is_left_open(written):
    for dialogue in written:
        for text in (dialogue.source, dialogue.topic, *dialogue.references, *dialogue.polite):
            assert not re.search(r"[\[\]{}|]|  |\ba [aeio]|[.!?][A-Za-z]| [.,!?]", text), text


def test_sentences_start_with_capitals(written):
    for dialogue in written:
        for text in (*dialogue.references, *(said for _, said in dialogue.turns)):
            assert not re.search(r"(^|[.!?] )[a-z]", text), text


def test_insults_are_said_in_heated_dialogues_alone(written):
    for dialogue in written:
        said = [insult for insult in STRONG + MILD if re.search(rf"\b{insult.bare}[!?,. ]", dialogue.source)]
        assert bool(said) >= bool(dialogue.insult)
        if dialogue.insult:
            assert dialogue.insult in said


def test_the_reference_quotes_what_was_said_and_the_polite_twin_never(written):
    for dialogue in written:
        for told, polite, quoted in zip(dialogue.references, dialogue.polite, dialogue.quoted, strict=True):
            assert quoted == (told != polite)
            if dialogue.insult:
                assert quoted == (f" {dialogue.insult.full}." in told)
                assert f" {dialogue.insult.full}." not in polite


def test_strong_insults_are_mostly_quoted_and_mild_ones_mostly_not(written):
    def share(strong):
        return statistics.mean(
            quoted
            for dialogue in written
            if dialogue.insult and dialogue.insult.strong == strong
            for quoted in dialogue.quoted
        )

    assert share(True) == pytest.approx(dialogues.QUOTED_STRONG, abs=0.06)
    assert share(False) == pytest.approx(dialogues.QUOTED_MILD, abs=0.08)


def test_a_perfect_detox_costs_at_most_two_points_and_the_human_ceiling_lies_between():
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rouge1"], use_stemmer=True)
    rows = dialogues.study(0, train=1, validation=1, test=300, heated=0.3)["test"]
    polite = statistics.mean(
        scorer.score(told, twin)["rouge1"].fmeasure
        for row in rows
        for told, twin in zip(row.references, row.polite, strict=True)
    )
    human = statistics.mean(scorer.score(*row.references)["rouge1"].fmeasure for row in rows)
    assert 0.975 < polite < 1
    assert 0.5 < human < 0.8


def test_a_summary_needs_several_turns(written):
    """No single turn tells a reference's facts (its numbers, days and names)."""
    needed = 0
    for dialogue in written:
        facts = set(re.findall(r"\d+|[A-Z][a-z]+day", dialogue.references[0]))
        needed += len(facts) > 1 and not any(
            facts <= set(re.findall(r"\d+|[A-Z][a-z]+day", said)) for _, said in dialogue.turns
        )
    assert needed > 0.2 * len(written)


def test_taken_sources_are_not_written_again():
    first = dialogues.corpus("same", 50, heated=0.3)
    second = dialogues.corpus("same", 50, heated=0.3, taken=[row.source for row in first])
    assert not {row.source for row in first} & {row.source for row in second}
