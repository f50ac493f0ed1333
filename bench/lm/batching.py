"""Rows of like length together, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

# Tokens that go through an encoder at once, by the kind of device. A CPU's caches hold no more: two of FLAN-T5-small's
# layers took 1.4 times as long with 8,192 (benchmarks/test_hot_paths.py). A GPU wants more rows than that.
TOKENS = {"cpu": 1024, "cuda": 16384}


def by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Group row numbers, shortest rows first; rows times the longest of a group stay within `budget` tokens.

    A row longer than the budget is a group of its own.
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if not groups or (len(groups[-1]) + 1) * lengths[row] > budget:
            groups.append([])
        groups[-1].append(row)
    return groups
