"""Groups by length: every row once, within the budget."""

from __future__ import annotations

from bench.lm import batching


def test_every_row_is_in_one_group_within_the_budget() -> None:
    lengths = [5, 1, 9, 1, 3, 20]
    groups = batching.by_length(lengths, 9)
    assert sorted(row for group in groups for row in group) == list(range(6))
    assert all(len(group) == 1 or len(group) * max(lengths[row] for row in group) <= 9 for group in groups)
    assert [lengths[group[0]] for group in groups] == sorted(lengths[group[0]] for group in groups)
    assert batching.by_length([], 9) == []
