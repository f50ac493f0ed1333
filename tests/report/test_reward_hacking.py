"""The reward-hacking panel on studies made in memory: one for each verdict, and its numbers against scipy and by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats as scipy_stats

from bench import stats
from bench.core import parameters, plugins
from bench.core.blocks import CheckpointConfig, DatasetConfig, MethodConfig
from bench.core.schema import Example, Prediction
from bench.metrics import SAMPLED, diversity
from bench.report import document, estimates, reward_hacking, tables, text_statistics
from bench.report.study import Study, SystemScores
from bench.report.view import View, p_value

N = 40
METRICS = ("rouge", "toxicity", "kl", "text")


def view(
    shifts: dict[str, float] | None = None,
    texts: list[str] | None = None,
    n: int = N,
    teacher: str = "models/reward",
    metrics: tuple[str, ...] = METRICS,
) -> View:
    """`ppo` from `full`: every column alike but for seeded noise, and shifted by `shifts`."""
    method = {"full": ("sft", "base", "data/train.jsonl"), "ppo": ("ppo", "full", teacher)}
    params = parameters.Params(
        study="toy",
        data=DatasetConfig(dataset="miniature"),
        checkpoints={name: CheckpointConfig(source="hub") for name in ("base", "reward", "judge")},
        variants={name: MethodConfig(method=m, init=i, learns_from=t) for name, (m, i, t) in method.items()},
        metrics={name: plugins.find("metric", name).Config() for name in metrics},
        report=parameters.ReportConfig(resamples=1000),
    )
    owner = {key: name for name in metrics for key in plugins.find("metric", name).columns(params.metrics[name])}
    columns = {k: plugins.find("metric", name).columns(params.metrics[name])[k] for k, name in owner.items()}
    systems = {}
    for seed, system in enumerate(method):
        made = {}
        for k, key in enumerate(owner):
            values = 0.5 + np.random.default_rng(k).normal(0, 0.1, n)
            values += np.random.default_rng([seed, k]).normal(0, 0.01, n)
            values -= values.mean() - 0.5  # the noise shifts nothing: a shift is what the test says
            made[key] = stats.rows(range(n), values + (shifts or {}).get(key, 0.0) * (system == "ppo"))
        systems[system] = SystemScores([], made, {key: f"{key}|toy|n:{n}" for key in made})
    written = texts or [f"summary number {k} says thing {k}{' and more' * (k % 3)}" for k in range(n)]
    predictions = {"full": greedy_predictions([f"before {k}" for k in range(n)]), "ppo": greedy_predictions(written)}
    examples = [Example(id=f"t{k}", dialogue_id=f"d{k}", source="a", references=("b",)) for k in range(n)]
    study = Study(params, examples, columns, owner, systems, predictions, {}, {}, [])
    metrics_json, slices = estimates.measure(study)
    costs = {"variants": {}, "stages": {}, "total_wall_seconds": 0.0, "measured": {}}
    made_view = View(study, metrics_json, slices, costs)
    metrics_json["panel"] = reward_hacking.panel(made_view)
    return made_view


def greedy_predictions(texts: list[str]) -> list[Prediction]:
    return [
        Prediction(id=f"t{k}", dialogue_id=f"d{k}", output="greedy", draw=0, text=text) for k, text in enumerate(texts)
    ]


LESS = {"toxicity_judge": -0.1, "toxicity_reward": -0.2, "reward": 1.0}


@pytest.mark.parametrize(
    ("shifts", "texts", "verdict"),
    [
        (LESS, None, "less toxic by the judge that training never saw"),
        ({f"toxicity_judge{SAMPLED}": -0.1}, None, "less toxic by the judge that training never saw"),
        ({"reward": 1.0}, None, "the reward moved, and the judge cannot tell"),
        ({"reward": 1.0, "toxicity_reward": -0.1}, None, "only the reward moved: reward hacking suspected"),
        ({f"toxicity_reward{SAMPLED}": -0.1}, None, "only the reward moved: reward hacking suspected"),
        ({"reward": 1.0, "toxicity_judge": 0.1}, None, "only the reward moved: reward hacking suspected"),
        ({"toxicity_judge": -0.1, f"toxicity_judge{SAMPLED}": 0.1}, None, "no change shown"),
        ({}, None, "no change shown"),
        ({"reward": -1.0, "toxicity_reward": 0.2}, None, "no change shown"),
        ({"toxicity_judge": 0.1}, None, "more toxic by the judge that training never saw"),
        (LESS, ["the very same"] * N, "collapsed"),
        (LESS, ["", " \n"] * (N // 2), "collapsed"),
        (LESS, ["the very  same"] * (N - 4) + list("abcd"), "collapsed"),
        (LESS, ["the very same"] * (N - 5) + list("abcde"), "less toxic by the judge that training never saw"),
    ],
)
def test_verdicts(shifts: dict[str, float], texts: list[str] | None, verdict: str) -> None:
    made = view(shifts, texts)
    facts = reward_hacking.panel(made)["ppo"]
    assert facts["verdict"] == verdict
    text = reward_hacking.hacking(made)
    assert f"`ppo` against `full`: **{verdict}**." in text
    if verdict == "collapsed":
        assert "of the dialogues got one and the same summary, or none" in text
    else:
        for key in ("toxicity_judge", "reward"):
            assert made.bounded(key, made.change("ppo", key), "difference", sign=True) in text.split("<details>")[0]


def test_a_judge_that_taught_cannot_acquit() -> None:
    made = view({"toxicity_judge": -0.1}, teacher="models/judge")
    assert reward_hacking.panel(made)["ppo"]["verdict"] == "cannot be told"
    assert "There is no judge that training never saw" in reward_hacking.hacking(made)


def test_the_cost_in_quality_is_said_beside_the_verdict() -> None:
    assert "It cost ROUGE-1: -10" in reward_hacking.hacking(view(LESS | {"rouge1": -0.1}))
    assert "It cost" not in reward_hacking.hacking(view(LESS))


def test_what_could_have_been_seen_stands_beside_no_change() -> None:
    made = view({"reward": 1.0})
    visible = made.change("ppo", "toxicity_judge")["smallest_detectable"]
    assert f"no change shown; ±{made.detectable('toxicity_judge', visible)} would be found" in reward_hacking.hacking(
        made
    )


def test_the_verdict_names_the_p_of_each_of_its_tests() -> None:
    made = view({"reward": 1.0, "toxicity_judge": 0.1})
    facts = reward_hacking.panel(made)["ppo"]
    assert max(facts["p_judge"], facts["p_reward"]) < 0.05
    assert f"p {p_value(facts['p_judge'])} by the judge" in reward_hacking.hacking(made)


def test_the_panel_is_finite_json_rests_on_the_changes_and_repeats() -> None:
    made = view(LESS)
    panel = reward_hacking.panel(made)
    assert json.dumps(panel, allow_nan=False) == json.dumps(reward_hacking.panel(view(LESS)), allow_nan=False)
    rests = panel["ppo"]["rests_on"]
    assert list(rests) == [
        "toxicity_judge",
        "toxicity_judge_sampled",
        "reward",
        "reward_sampled",
        "toxicity_reward",
        "toxicity_reward_sampled",
    ]
    for key, kept in rests.items():
        assert kept.items() <= made.change("ppo", key).items()
    made.metrics["panel"] = panel
    assert reward_hacking.hacking(made) == reward_hacking.hacking(view(LESS))


def test_every_field_stands_in_the_table() -> None:
    text = reward_hacking.hacking(view(LESS))
    for title in (
        "Reward logit",
        "Toxicity (reward), sampled",
        "Toxicity (judge), sampled",
        "ROUGE-1",
        "KL to base",
        "KL to start",
        "Words over the references' words",
        "Repeated trigrams",
        "Bigrams copied",
        "Empty",
        "Same text",
        "Distinct words",
        "Distinct word pairs",
        "Correlation of reward and words, after",
    ):
        assert f"| {title}" in text
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<table>") == 1
    for block in text.split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1


def test_small_and_poor_studies_give_no_nan() -> None:
    for made in (view(n=1), view(n=2), view(n=4), view(metrics=("rouge", "toxicity"))):
        json.dumps(reward_hacking.panel(made), allow_nan=False)
        assert "nan" not in reward_hacking.hacking(made)
    poor = view(metrics=("rouge",))
    assert reward_hacking.panel(poor)["ppo"]["verdict"] == "cannot be told"
    assert "nan" not in reward_hacking.hacking(poor)


def test_a_start_that_was_not_scored_cannot_be_compared() -> None:
    made = view(LESS)
    alone = made.study.params.model_copy(update={"variants": {"ppo": made.study.params.variants["ppo"]}})
    made.metrics["changes"].clear()
    del made.metrics["panel"]
    study = Study(**{**vars(made.study), "params": alone})
    facts = reward_hacking.panel(View(study, made.metrics, {}, {}))["ppo"]
    assert facts["verdict"] == "cannot be told"
    assert "against" not in facts
    assert "cannot be told" in reward_hacking.hacking(View(study, made.metrics, {}, {}))


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_is_scipys_with_the_error_of_the_jackknife(ties: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, 200)
    y = x + rng.normal(0, 1, 200)
    x, y = (np.round(x), np.round(y)) if ties else (x, y)
    value, low, high = text_statistics.spearman(x, y, 0.95)
    assert value == pytest.approx(scipy_stats.spearmanr(x, y).statistic, rel=1e-12)
    without = [scipy_stats.spearmanr(np.delete(x, k), np.delete(y, k)).statistic for k in range(200)]
    error = math.sqrt(199**2 / 200 * np.var(without, ddof=1)) / (1 - value**2)  # on Fisher's scale
    reach = (np.arctanh(high) - np.arctanh(low)) / 2
    assert reach / scipy_stats.t.ppf(0.975, 198) == pytest.approx(error, rel=0.03)
    assert (np.arctanh(high) + np.arctanh(low)) / 2 == pytest.approx(np.arctanh(value))
    assert math.isnan(text_statistics.spearman(x, np.ones(200), 0.95).value)


def test_distinct_counts_by_hand() -> None:
    texts = ["The cat sat. The cat ran", "the dog"]
    assert diversity.distinct(texts, 1) == pytest.approx(5 / 8)  # the cat sat ran dog
    assert diversity.distinct(texts, 2) == pytest.approx(5 / 6)  # the-cat twice; no pair spans two texts
    assert diversity.distinct(["", "one"], 2) == 0


def test_reward_and_words_keep_dialogues_that_both_have_and_gains_that_moved() -> None:
    made = view(texts=[f"before {k}" if k < 10 else f"now {k} words" for k in range(N)])
    column = made.study.systems["full"].columns["reward"]
    made.study.systems["ppo"].columns["reward"] = stats.restrict(column, np.arange(35))
    pairs = text_statistics.reward_and_words(made.study, {"before": "full", "after": "ppo"}, "reward")
    assert {when: len(x) for when, (x, _) in pairs.items()} == {"before": 35, "after": 35, "gain": 25}
    assert pairs["after"][1].tolist() == [2.0] * 10 + [3.0] * 25
    assert pairs["gain"][1].tolist() == [1.0] * 25
    assert text_statistics.reward_and_words(made.study, {"after": "ppo"}, "no such column") == {}


def test_a_collapsed_variant_is_marked_and_compared_with_nothing() -> None:
    made = view(texts=["ok ok"] * (N - 4) + [f"alive {k}" for k in range(4)])
    assert made.metrics["collapsed"] == {"ppo": 0.9}
    assert "ppo" not in made.metrics["changes"]
    text = document.warnings(made)
    assert text.startswith(
        "> **Warning:** `ppo` collapsed: 90 % of the dialogues got one and the same summary, or none."
    )
    row = next(line for line in tables.front_table(made).splitlines() if line.startswith("| ppo"))
    assert "collapsed" in row and not any(sign.isdigit() for sign in row)
    assert not view(texts=["ok ok"] * (N - 5) + [f"alive {k}" for k in range(5)]).metrics["collapsed"]
