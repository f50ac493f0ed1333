"""Pretraining tasks: the study's own task is not among them on the study's scenarios."""

from __future__ import annotations

import random

import pytest

from bench.miniature import dialogues, tasks
from bench.miniature.tokenizers import SENTINELS


@pytest.fixture(scope="module")
def drawn():
    pool = tasks.pool(0, 300, heated=0.3)
    return pool, tasks.draw(0, 2000, pool)


def test_the_shares_sum_to_one_and_every_task_exists():
    assert sum(tasks.MIX.values()) == pytest.approx(1)
    assert set(tasks.MIX) == {*tasks.ANY, *tasks.HELD}


def test_a_seed_gives_the_same_pairs_and_another_others(drawn):
    pool, pairs = drawn
    assert tasks.draw(0, 2000, pool) == pairs
    assert tasks.draw(1, 2000, pool) != pairs


def test_spans_can_be_put_back():
    text = dialogues.corpus("spans", 1, 0.0)[0].references[0]
    for seed in range(50):
        source, target = tasks.spans(random.Random(seed), text)
        restored, filled = source, target
        for sentinel in SENTINELS:
            if sentinel in source:
                filled = filled.split(sentinel, 1)[1]
                span = filled
                for other in SENTINELS:
                    span = span.split(other, 1)[0]
                restored = restored.replace(sentinel, span.strip())
        assert restored == text


def test_summaries_come_from_held_out_scenarios_alone(drawn):
    (everywhere, held), pairs = drawn
    assert not {row.scenario for row in held} & {scenario.name for scenario in dialogues.STUDY}
    assert all(not row.references for row in everywhere)
    gists = [target for source, target in pairs if source.endswith("Summary: ")]
    assert gists and all(target.startswith("#Person1# and #Person2# talk about ") for target in gists)


def test_pretraining_meets_no_test_dialogue():
    everywhere, _ = tasks.pool(0, 3000, heated=0.3)
    splits = dialogues.study(0, train=3000, validation=200, test=400, heated=0.3)
    assert not {row.source for row in everywhere} & {row.source for row in splits["test"] + splits["validation"]}
