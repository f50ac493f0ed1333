"""How far measures go with the truth: against scipy, a naive loop, and a study made in memory."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from bench import stats
from bench.metrics import facts
from bench.report import agreement
from bench.report.view import View
from tests.report.test_reward_hacking import N, view


def with_truth(made: View, truth: dict[str, np.ndarray]) -> View:
    """The study with a column that knows the truth, by system."""
    columns = made.study.columns | {"facts_right": facts.columns(facts.Config())["facts_right"]}
    systems = {
        name: replace(scores, columns=scores.columns | {"facts_right": stats.rows(range(N), truth[name])})
        for name, scores in made.study.systems.items()
    }
    study = replace(
        made.study, columns=columns, systems=systems, metric_of=made.study.metric_of | {"facts_right": "facts"}
    )
    metrics: dict[str, Any] = made.metrics | agreement.measure(study, {})
    for name in truth:
        metrics["variants"][name]["facts_right"] = {"value": float(truth[name].mean())}
    return View(study, metrics, {}, {})


def test_every_result_is_held_against_the_truth_within_each_variant() -> None:
    made = view()
    rouge = {name: made.study.systems[name].columns["rouge1"].values for name in ("full", "ppo")}
    rng = np.random.default_rng(0)
    truth = {name: np.round(np.clip(values + rng.normal(0, 0.1, N), 0, 1), 1) for name, values in rouge.items()}
    shown = with_truth(made, truth)
    for name, values in rouge.items():
        told = shown.metrics["agreement"]["facts_right"][name]["rouge1"]
        expected = scipy.stats.spearmanr(values, truth[name]).statistic
        assert told["rank_correlation"]["value"] == pytest.approx(expected, rel=1e-5)
        pairs = [
            (a > b) + 0.5 * (a == b)
            for (a, x), (b, y) in itertools.permutations(zip(values, truth[name], strict=True), 2)
            if x > y
        ]
        assert told["concordance"] == pytest.approx(np.mean(pairs), rel=1e-5)
    text = agreement.agreement(shown)
    assert "## What a point of ROUGE is evidence of" in text and "a point of ROUGE-1 goes with" in text
    assert "where a coin has 50 %" in text and "| Toxicity (judge) (%) |" in text


def test_without_truth_people_s_judgements_stand_alone_and_without_rouge_there_is_no_section() -> None:
    made = view()
    assert agreement.measure(made.study, {}) == {}
    sentence = json.loads(agreement.WORTH.read_text())["sentence"]
    assert agreement.agreement(made).splitlines()[2].startswith(sentence)
    assert agreement.agreement(view(metrics=("toxicity", "text"))) == ""


def test_a_truth_that_never_varies_tells_nothing() -> None:
    made = view()
    assert "| rank correlation" not in agreement.agreement(
        with_truth(made, dict.fromkeys(("full", "ppo"), np.zeros(N)))
    )
    mixed = with_truth(made, {"full": np.arange(N) / N, "ppo": np.zeros(N)})
    assert list(mixed.metrics["agreement"]["facts_right"]) == ["full"]


def test_concordance_of_more_dialogues_than_a_block_is_a_loop_s() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 9, 1100).astype(float), rng.integers(0, 4, 1100).astype(float)
    more = [(i, j) for i in range(0, 1100) for j in range(1100) if y[i] > y[j]]
    expected = np.mean([1.0 if x[i] > x[j] else 0.5 if x[i] == x[j] else 0.0 for i, j in more])
    assert agreement.concordance(x, y) == pytest.approx(expected)
