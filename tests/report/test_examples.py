"""Dialogues side by side and rewards before and after."""

from __future__ import annotations

import numpy as np

from bench.core import parameters
from bench.report import examples, inputs
from tests.report.toy import Built, column, section_of


def test_reward_table_lists_17_dialogues_and_the_means(built: Built) -> None:
    lines = [x for x in section_of(built[2], "Rewards before and after alignment").splitlines() if x.startswith("|")]
    assert len(lines) == 2 + 17 + 2
    change = column("ppo", "reward") - column("full", "reward")
    assert f"{change[:17].mean():+.3f}" in lines[-2]
    assert f"{change.mean():+.3f}" in lines[-1]


def test_examples_are_the_largest_falls_and_seeded_ones(study: parameters.Params) -> None:
    data = inputs.read(study)
    picked = examples.chosen(data)
    falls = np.maximum(*(column("full", "toxicity_judge") - column(name, "toxicity_judge") for name in ("ppo", "dpo")))
    assert {f"t{k}" for k in np.argsort(-falls)[:2]} <= set(picked)
    assert len(set(picked)) == 4
    assert picked == examples.chosen(data) == sorted(picked, key=lambda i: int(i[1:]))
