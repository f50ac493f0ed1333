"""The order in which training takes its examples."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bench.training import batches

LENGTHS = random.Random(0).choices(range(10, 400), k=203)


def padding(order: list[int], size: int) -> int:
    """Tokens that fill rows up to the longest of their batch."""
    parts = [[LENGTHS[i] for i in order[at : at + size]] for at in range(0, len(order), size)]
    return sum(max(part) * len(part) - sum(part) for part in parts)


@pytest.mark.parametrize("passes", [1, 3])
def test_each_pass_takes_every_example_once(passes: int) -> None:
    steps = passes * 29  # 203 = 29 x 7
    found = Counter(batches.batch_order(LENGTHS, 7, steps, seed=1))
    assert found == dict.fromkeys(range(203), passes)


def test_a_pass_that_ends_within_a_batch_is_followed_by_the_next() -> None:
    found = Counter(batches.batch_order(LENGTHS, 8, 51, seed=1))  # 408 places for 203 examples: two passes and two more
    assert sum(found.values()) == 408 and set(found) == set(range(203))
    assert set(found.values()) == {2, 3} and sum(count == 3 for count in found.values()) == 2


def test_like_lengths_share_a_batch_and_the_batches_are_mixed() -> None:
    order = batches.batch_order(LENGTHS, 7, 29, seed=1)
    shuffled = random.Random(0).sample(range(203), 203)
    assert padding(order, 7) < padding(shuffled, 7) / 5
    longest = [max(LENGTHS[i] for i in order[at : at + 7]) for at in range(0, 203, 7)]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_the_seed_alone_decides() -> None:
    assert batches.batch_order(LENGTHS, 7, 29, seed=1) == batches.batch_order(LENGTHS, 7, 29, seed=1)
    assert batches.batch_order(LENGTHS, 7, 29, seed=1) != batches.batch_order(LENGTHS, 7, 29, seed=2)
