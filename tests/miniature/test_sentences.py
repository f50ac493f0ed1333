"""The classifiers' texts: two generators that share nothing but words."""

from __future__ import annotations

import re

import pytest

from bench.miniature import dialogues, sentences
from bench.miniature.words import JUDGE_ONLY, MILD, REWARD_ONLY, STRONG


@pytest.fixture(scope="module")
def drawn():
    return {role: sentences.texts(role, 0, 3000, raters=5) for role in sentences.GENERATORS}


def test_a_seed_gives_the_same_texts_and_another_others(drawn):
    assert sentences.texts("reward", 0, 3000, raters=5) == drawn["reward"]
    assert sentences.texts("reward", 1, 50, raters=5) != drawn["reward"][:50]
    assert sentences.texts("reward", 0, 50, raters=5, part="held out") != drawn["reward"][:50]


def test_the_two_training_sets_share_no_text_and_no_reference(drawn):
    reward, judge = ({row.text for row in rows} for rows in drawn.values())
    splits = dialogues.study(0, train=3000, validation=200, test=400, heated=0.3)
    references = {told for rows in splits.values() for row in rows for told in (*row.references, *row.polite)}
    assert not reward & judge and not reward & references and not judge & references
    assert len(reward) == len(judge) == 3000


def test_the_two_generators_share_no_template():
    reward = {*sentences.REPORTED_INSULTS, *sentences.REPORTED_CALM, *sentences.REPORTED_LOOKALIKES}
    judge = {
        *sentences.MESSAGE_INSULTS,
        *sentences.MESSAGE_ADJECTIVES,
        *sentences.MESSAGE_CALM,
        *sentences.MESSAGE_LOOKALIKES,
    }
    assert not reward & judge


def test_both_cover_the_studys_insults_and_add_their_own(drawn):
    for role, own, foreign in (("reward", REWARD_ONLY, JUDGE_ONLY), ("judge", JUDGE_ONLY, REWARD_ONLY)):
        text = " ".join(row.text for row in drawn[role] if row.hateful)
        for insult in STRONG + MILD:
            assert re.search(rf"\b{insult.bare}\b", text), (role, insult)
        assert all(words.split(" ", 1)[1] in text for words in own)
        assert not any(words.split(" ", 1)[1] in text for words in foreign)


def test_half_is_hateful_and_raters_mostly_agree(drawn):
    for rows in drawn.values():
        assert sum(row.hateful for row in rows) == 1500
        assert sum((row.rated > 0.5) == row.hateful for row in rows) > 0.95 * len(rows)


def test_reporting_an_insult_politely_is_calm_in_both(drawn):
    for rows in drawn.values():
        assert sum("insult" in row.text and not row.hateful for row in rows) > 50
