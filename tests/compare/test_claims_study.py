"""The simulation of a report's errors, on rows whose truth is known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench import cli
from bench.compare.simulation import claims, claims_output
from bench.metrics import Column, rouge, toxicity

COLUMNS: dict[str, Column] = rouge.columns(rouge.Config(types=("rouge1",))) | toxicity.columns(toxicity.Config())
KEYS = [
    "rouge1",
    "toxicity_reward",
    "toxicity_reward_sampled",
    "toxicity_judge",
    "toxicity_judge_sampled",
    "reward",
    "reward_sampled",
]


def population(judge_falls: float, reward_falls: float, n: int = 200) -> claims.Population:
    """A start, and a variant of which so many of the toxic rows became clean by each classifier; seeded."""
    rng = np.random.default_rng(0)
    toxic = rng.random(n) < 0.3
    values = np.zeros((n, 2, len(KEYS)))
    values[:, :, 0] = rng.normal(0.5, 0.1, (n, 1)) + rng.normal(0, 0.05, (n, 2))
    for classifier, falls in (("reward", reward_falls), ("judge", judge_falls)):
        cleaned = toxic & (rng.random(n) < falls)
        for suffix in ("", "_sampled"):
            column = KEYS.index(f"toxicity_{classifier}{suffix}")
            values[:, 0, column] = np.where(toxic, 0.9, 0.03) + rng.normal(0, 0.005, n)
            values[:, 1, column] = np.where(toxic & ~cleaned, 0.9, 0.03) + rng.normal(0, 0.005, n)
            if classifier == "reward":
                p = np.clip(values[:, :, column], 0.01, 0.99)
                values[:, :, KEYS.index(f"reward{suffix}")] = np.log((1 - p) / p)
    return claims.Population("toy", ["full", "ppo"], KEYS, COLUMNS, values, "rouge1")


def rates(one: claims.Population, scene: str, n: int = 100, studies: int = 60) -> claims.Rates:
    found = claims.Rates()
    for k, values in enumerate(claims._studies(one, n, scene, studies)):
        claims._judge(one, values, found, k)
    return found


def test_a_fall_that_both_classifiers_see_is_found_and_nobody_is_accused() -> None:
    found = rates(population(0.8, 0.8), "all")
    assert found.verdicts["less"] >= 55
    assert found.accused == 0


def test_a_fall_that_the_reward_alone_sees_is_an_accusation() -> None:
    found = rates(population(0.0, 0.9), "all")
    assert found.accused >= 50


def test_where_labels_change_places_false_claims_are_as_rare_as_the_level_says() -> None:
    found = rates(population(0.8, 0.8), "nothing", studies=300)
    # A binomial count of 300 studies at 5 %: above 26 with a chance of 0.2 %.
    assert found.any_verdict <= 26 and found.any_reading <= 26
    assert found.any_reading > 0, "a level that is never used is no level"


def test_labels_change_places_within_dialogues_and_half_is_half() -> None:
    one = population(0.8, 0.8)
    for values in claims._studies(one, 50, "nothing", 5):
        rows = {tuple(np.sort(pair, axis=0).ravel()) for pair in one.values}
        assert all(tuple(np.sort(pair, axis=0).ravel()) in rows for pair in values)
    same = [np.isclose(v[:, 0], v[:, 1]).all(axis=1).mean() for v in claims._studies(one, 400, "half", 5)]
    assert np.mean(same) == pytest.approx(0.5, abs=0.05)


def test_a_third_classifier_is_neither_judge_nor_reward() -> None:
    one = population(0.8, 0.8)
    third = toxicity.Config(classifiers={"other": toxicity.ToxicClassifier(checkpoint="other")})
    columns = toxicity.columns(third) | COLUMNS  # it comes first
    keys = ["toxicity_other", *KEYS]
    values = np.concatenate([np.random.default_rng(2).random((*one.values.shape[:2], 1)), one.values], axis=2)
    wider = claims.Population("toy", one.systems, keys, {key: columns[key] for key in keys}, values, "rouge1")
    before, after = claims.evidence(one, one.values)["ppo"], claims.evidence(wider, values)["ppo"]
    np.testing.assert_array_equal(before.judge_change, after.judge_change)
    np.testing.assert_array_equal(before.rewards, after.rewards)


def test_coverage_is_what_counting_gives() -> None:
    values = np.random.default_rng(1).normal(0, 1, (300, 20))
    t = claims._share(values, [None] * 300, 0.0)
    assert 0.9 <= t <= 0.99
    assert claims._share(values, [None] * 300, 1.5) < 0.01


def test_the_command_writes_the_page_from_a_report(project: object) -> None:
    folder = Path("reports/toy")
    report = json.loads((folder / "metrics.json").read_text())
    names = list(report["variants"])
    report["panel"] = {names[1]: {"against": names[0], "p_judge": 0.5}}
    (folder / "metrics.json").write_text(json.dumps(report))
    code = cli.main(["claims-study", str(folder), "--studies", "20", "--output", "page.md"])
    assert code == 0
    text = Path("page.md").read_text()
    assert re.search(r"\| toy \| 500 \| [\d.]+ % \|", text)
    assert "Where nothing changed, a false verdict in at most" in text


def test_a_report_without_an_aligned_variant_is_refused(project: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["claims-study", "reports/toy", "--output", "page.md"]) == 2
    assert "no aligned variant that a judge saw" in capsys.readouterr().err
    assert not Path("page.md").exists()


def test_the_headline_is_the_worst_of_the_page() -> None:
    one = population(0.8, 0.8)
    cells = {("toy", n, "nothing"): claims.Rates(100, k, accused=0, any_reading=2 * k) for n, k in ((12, 3), (25, 1))}
    cover = [claims.Coverage("rate", 12, 3, 0.94, 0.9, "x"), claims.Coverage("p95", 12, 3, 0.96, 0.8, "y")]
    text = claims_output.headline(claims.Found([one], cells, cover, 100))
    assert "3.0 % of reports" in text and "6.0 %" in text and "94.0 % (rate, n = 12)" in text
