"""Advantages within groups against plain loops."""

from __future__ import annotations

import statistics

import pytest
import torch

from bench.core.schema import UserError
from bench.training import groups

REWARDS = torch.tensor([1.0, 2.0, 4.0, -1.0, -1.0, 0.5])


def test_relative_advantages_are_those_of_a_loop() -> None:
    expected: dict[str, list[float]] = {"group": [], "batch": [], "none": []}
    values = REWARDS.tolist()
    for start in (0, 3):
        group = values[start : start + 3]
        mean, deviation = statistics.fmean(group), statistics.stdev(group)
        for value in group:
            expected["none"].append(value - mean)
            expected["group"].append((value - mean) / (deviation + 1e-4))
            expected["batch"].append((value - mean) / (statistics.stdev(values) + 1e-4))
    for scale, wanted in expected.items():
        assert groups.relative(REWARDS, 3, scale).tolist() == pytest.approx(wanted, abs=1e-6)


def test_leave_one_out_takes_the_mean_of_the_others() -> None:
    values, expected = REWARDS.tolist(), []
    for i, value in enumerate(values):
        others = [values[j] for j in range(6) if j // 3 == i // 3 and j != i]
        expected.append(value - statistics.fmean(others))
    assert groups.leave_one_out(REWARDS, 3).tolist() == pytest.approx(expected, abs=1e-6)


def test_groups_that_say_nothing_end_a_training() -> None:
    groups.refuse_without_spread("variants.g", REWARDS, 3, 7)
    with pytest.raises(UserError, match=r"variants\.g: at step 7 the 2 summaries of each dialogue have one reward"):
        groups.refuse_without_spread("variants.g", torch.tensor([1.0, 1.0, 3.0, 3.0]), 2, 7)
