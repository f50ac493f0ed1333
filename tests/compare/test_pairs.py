"""The numbers behind gate and diff against scipy, closed forms and naive loops."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats

from bench import stats
from bench.compare import pairs, sources
from bench.compare.gate import judge
from bench.compare.gate import output as gate_output
from bench.compare.gate.verdicts import Outcome, Verdict, decide, deciding_n
from bench.compare.simulation import characteristics
from bench.compare.snapshot import columns_of_params, read, rows_of
from bench.config.gate import GateConfig, Margin
from bench.core.parameters import ReportConfig
from bench.report import costs
from bench.report.supports import support_of_differences


def made(column: str, gaps: Any, variant: str = "v", changed: int = 1) -> pairs.Pair:
    return pairs.Pair(variant, column, 0.0, 0.0, np.asarray(gaps, float), len(gaps), changed)


def test_many_pairs_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    some = [made("a", rng.normal(k / 100, 0.1, n), f"v{k}") for k, n in enumerate((80, 80, 50))]
    report = ReportConfig(resamples=1500, seed=4)
    for each, found in zip(some, pairs.measure(some, report, {}), strict=True):
        low, high = scipy.stats.t.interval(0.95, found.n - 1, each.gaps.mean(), scipy.stats.sem(each.gaps))
        assert (found.value, found.low, found.high) == pytest.approx((each.gaps.mean(), low, high))
        assert found.p == pytest.approx(stats.sign_flip(each.gaps, 1500, 4)[0])


def test_interval_and_test_agree_with_scipy() -> None:
    gaps = np.random.default_rng(1).normal(0.02, 0.1, 400)
    [found] = pairs.measure([made("a", gaps)], ReportConfig(), {})
    theirs = scipy.stats.ttest_1samp(gaps, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    flips = scipy.stats.permutation_test(
        (gaps,), np.mean, permutation_type="samples", n_resamples=10_000, rng=np.random.default_rng(3)
    )
    assert found.p == pytest.approx(flips.pvalue, abs=4 * math.sqrt(found.p / 10_000))


def test_bounds_are_those_of_a_t_test_each_at_its_level() -> None:
    gains = np.random.default_rng(5).normal(0.3, 9, 500)
    lower, upper = judge.bounds(gains, None, (0.95, 0.99), (0.0, 0.0), ReportConfig())
    error = scipy.stats.sem(gains)
    assert lower == pytest.approx(gains.mean() - scipy.stats.t.ppf(0.95, 499) * error)
    assert upper == pytest.approx(gains.mean() + scipy.stats.t.ppf(0.99, 499) * error)


def test_holm_counts_results_and_the_rest_apart_and_only_what_changed() -> None:
    rng = np.random.default_rng(6)
    some = [
        made("rouge1", rng.normal(0.03, 0.1, 60), "x"),
        made("rouge2", rng.normal(0.03, 0.1, 60), "y"),
        made("rouge1", np.zeros(60), "z", changed=0),
        made("words", rng.normal(0.03, 0.1, 60), "x"),
    ]
    found = pairs.measure(some, ReportConfig(resamples=2000), columns_of_params({}))
    low, high = sorted(each.p for each in found[:2])
    assert sorted(each.p_holm for each in found[:2]) == pytest.approx([min(2 * low, 1), max(min(2 * low, 1), high)])
    assert found[2].p_holm == 1
    assert found[3].p_holm == found[3].p


def test_a_gap_is_bounded_by_what_its_column_can_be(project: Any) -> None:
    state = read(sources.Tree(), "toy")
    words = state.values["lora"]["words"].values()
    reach = max(words) - min(words)
    project.drop("lora", 1)
    project.write()
    moved = read(sources.Tree(), "toy")
    supports = {name: pairs.pair(state, moved, "lora", name).support for name in ("rouge1", "toxicity_judge", "words")}
    assert supports == {"rouge1": None, "toxicity_judge": (-1.0, 1.0), "words": (-reach, reach)}


@pytest.mark.parametrize(
    ("changed", "of", "support"), [(60, 60, None), (12, 12, None), (9, 12, (-1, 1)), (14, 60, (-1, 1)), (15, 60, None)]
)
def test_changes_of_quality_in_few_dialogues_are_sparse(changed: int, of: int, support: Any) -> None:
    gaps = np.r_[np.full(changed, 0.1), np.zeros(of - changed)]
    assert support_of_differences(columns_of_params({})["rouge1"], [gaps], gaps) == support


def test_duplicated_rows_do_not_shrink_an_interval(project: Any) -> None:
    rows = list(csv.reader(io.StringIO(project.scores())))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows[1:]:
        writer.writerow(row)
        writer.writerow([row[0], f"{row[1]}-again", *row[2:]])
    once = read(sources.Tree(), "toy")
    project.drop("lora", 1)
    project.write()
    moved = read(sources.Tree(), "toy")
    report = ReportConfig(resamples=1000)
    single = pairs.measure([pairs.pair(once, moved, "lora", "rouge1")], report, {})[0]
    states = []
    for state in (once, moved):
        held = state.values["lora"]["rouge1"]
        twice = held | {key._replace(id=f"{key.id}-again"): value for key, value in held.items()}
        dialogues = state.dialogues | {f"{name}-again": dialogue for name, dialogue in state.dialogues.items()}
        states.append(stats.cluster_means(rows_of(twice, dialogues)))
    double = pairs.measure([made("rouge1", states[1] - states[0], "lora")], report, {})[0]
    assert (single.value, single.low, single.high) == pytest.approx((double.value, double.low, double.high), abs=1e-12)


def test_samples_have_columns_of_their_own_and_are_clustered(project: Any) -> None:
    lines = project.scores().splitlines()
    for name in project.values:
        lines += [f"{name},t{k},d{k},sample,{draw},,{(k + draw) / 100:.6g}," for k in range(60) for draw in range(3)]
    metrics = project.metrics()
    for held in metrics["variants"].values():
        held["toxicity_judge_sampled"] = {"value": 0.305, "n": 60, "signature": "t|x-1|n:60"}
    (project.report / "scores.csv").write_text("\n".join(lines) + "\n")
    (project.report / "metrics.json").write_text(json.dumps(metrics))
    project.lock()
    state = read(sources.Tree(), "toy")
    assert len(state.values["lora"]["toxicity_judge_sampled"]) == 180
    assert len(state.values["lora"]["toxicity_judge"]) == 60
    found = pairs.pair(state, state, "lora", "toxicity_judge_sampled")
    assert (len(found.gaps), found.rows, found.changed) == (60, 180, 0)
    assert found.before == pytest.approx(0.305)


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (-9, -0.51, "FAIL"),
        (-9, -0.5, "INCONCLUSIVE"),
        (-0.99, 9, "PASS"),
        (-1.0, 9, "INCONCLUSIVE"),
        (-0.9, -0.6, "FAIL"),
        (0, 0, "PASS"),
    ],
)
def test_the_three_answers_at_their_edges(lower: float, upper: float, expected: str) -> None:
    assert decide(lower, upper, 0.5, 1.0) == expected


@pytest.mark.parametrize("mean", [-3.0, -0.9, -0.75, -0.4, 0.0, 1.0])
def test_the_n_that_would_decide_decides(mean: float) -> None:
    gains = np.random.default_rng(8).normal(0, 9, 50)
    gains += mean - gains.mean()
    n = deciding_n(gains, 0.5, 1.0, 0.95)
    half_width = scipy.stats.norm.ppf(0.95) * gains.std(ddof=1)
    assert decide(mean - half_width / math.sqrt(n), mean + half_width / math.sqrt(n), 0.5, 1.0) != "INCONCLUSIVE"
    if n > 51:
        fewer = half_width / math.sqrt(n - 1)
        assert decide(mean - fewer, mean + fewer, 0.5, 1.0) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("r|x-1|stem:a|n:5", "r|x-1|stem:b|n:5", "`stem` differs, 'a' before and 'b' now"),
        ("r|x-1|n:5", "r|x-2|n:5", "`implementation` differs"),
        ("r|x-1|bert@a|n:5", "r|x-1|bert@b|n:5", "`bert` differs, 'a' before"),
        ("k|x-1|KL(v,base@a)|exact", "k|x-1|KL(v,base@a)|k1", "`option 4` differs, 'exact' before and 'k1' now"),
        ("r|x-1|split:test", "r|x-1", "`split` differs, 'test' before and absent now"),
        ("r|x-1|a:1|b:2", "r|x-1|b:2|a:1", "the signatures differ"),
    ],
)
def test_the_field_of_a_signature_that_differs_is_named(old: str, new: str, field: str) -> None:
    with pytest.raises(sources.NotComparable, match="never|alike") as caught:
        pairs.check_signatures(old, new, "r of 'v'")
    assert field in str(caught.value)


@pytest.mark.parametrize("field", ["gen:bench-generate-2,greedy,max64", "prompt:12ab34cd", "source:max320"])
def test_how_a_system_writes_belongs_to_what_is_compared(field: str) -> None:
    """A prompt or limit that changed is judged like weights that did: its effect is what a gate is asked for."""
    pairs.check_signatures(f"r|x-1|split:test|{field}|n:5", f"r|x-1|split:test|{field}0|n:5", "r of 'v'")
    with pytest.raises(sources.NotComparable, match="`stem` differs"):
        pairs.check_signatures(f"r|x-1|stem:a|{field}|n:5", f"r|x-1|stem:b|{field}0|n:5", "r of 'v'")


def test_another_n_is_refused_even_where_signatures_do_not_say_it(project: Any) -> None:
    old = read(sources.Tree(), "toy")
    entry = old.entries["lora"]["rouge1"]
    new = replace(old, entries={"lora": {"rouge1": entry | {"n": 59}}})
    with pytest.raises(sources.NotComparable, match="n differs, 60 dialogues before and 59 now"):
        pairs.pair(old, new, "lora", "rouge1")


def test_a_junit_file_parses_whatever_it_says() -> None:
    nasty = "a\x00\x0b\x1b[31m<b>&\"']]>\ud800\ufffe|é日\U0001f600\n"
    verdicts = [
        Verdict(nasty, nasty, word, nasty, nasty, nasty, nasty)
        for word in ("FAIL", "PASS", "INCONCLUSIVE", "NOT COMPARED")
    ]
    for strict, failures, skipped in ((False, "1", "2"), (True, "2", "1")):
        outcome = Outcome(nasty, nasty, nasty, "retrained", strict, verdicts, [nasty])
        [suite] = ElementTree.fromstring(gate_output.junit(outcome).encode())
        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", failures, skipped)
        assert len(suite.findall("testcase")) == 4
        gate_output.as_json(outcome).encode()
        gate_output.markdown(outcome).encode()
        gate_output.terminal(outcome).encode()
    ElementTree.fromstring(gate_output.refusal(nasty)["junit"].encode())


def test_by_default_few_columns_are_judged() -> None:
    judged = GateConfig().judged("rougeL", columns_of_params({}))
    assert judged["rougeL"] == Margin(fail_margin=0.5, pass_margin=1.0)
    assert list(judged) == ["rougeL", "toxicity_judge"]


def test_simulated_pairs_have_the_correlation_and_the_spread_they_should() -> None:
    values = np.random.default_rng(9).beta(2, 5, 400) * 100
    for r in (0.7, 0.9):
        gains = characteristics.differences(values, 2000, r, 50, np.random.default_rng(1))
        assert gains.mean() == pytest.approx(0, abs=4 * values.std() * math.sqrt(2 * (1 - r) / 100_000))
        assert gains.std() == pytest.approx(values.std() * math.sqrt(2 * (1 - r)), rel=0.02)


def test_the_simulation_agrees_with_the_normal_theory(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characteristics, "SIZES", (500,))
    rng = np.random.default_rng(10)
    rouge = np.clip(rng.normal(0.5, 0.125, 500), 0, 1).round(6)
    project.values = {"baseline": {"rouge1": rouge}, "lora": {"rouge1": rouge}}
    project.write()
    found = characteristics.simulate(read(sources.Tree(), "toy"), studies=2000)
    assert [cell.variant for cell in found.cells] == ["lora"], "what is not trained is not trained again"
    error = 100 * rouge.std() * math.sqrt(2 * (1 - 0.8) / 500)
    for (_, sd, knowledge), rates in found.rates.items():
        if knowledge == "gate.training_sd":
            total = math.hypot(error, sd * math.sqrt(2))
            df = characteristics.RUNS - 1
            draws = np.random.default_rng(0).chisquare(df, 100_000) / df
            stated = math.hypot(sd, 100 * rouge.std() / math.sqrt(500))  # of runs with other dialogues
            width = np.hypot(1.645 * error, scipy.stats.t.ppf(0.95, df) * stated * np.sqrt(2 * draws))
            expected = [
                float(scipy.stats.norm.cdf((loss - 0.5 - width) / total).mean())
                for loss in (0, *characteristics.LOSSES)
            ]
            assert [rates.false_fails, *rates.power["rouge1"]] == pytest.approx(expected, abs=0.035), sd
        assert rates.false_fails <= 0.05


def test_the_simulation_as_a_command(project: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characteristics, "SIZES", (125,))
    code, out, _ = bench("gate-study", "--studies", "100")
    assert code == 0, out
    assert "gate.training_sd" not in out, "nothing is written where no runs tell"
    text = (project.root / "reports" / "gate" / "characteristics.md").read_text()
    assert text.startswith("# How often the gate is wrong")
    assert "| 125 | 0.23 |" in text
    bench("gate-study", "--studies", "100", "--output", "again.md")
    assert (project.root / "again.md").read_text() == text
    project.values = {name: {k: v[:20] for k, v in held.items()} for name, held in project.values.items()}
    project.write()
    assert bench("gate-study")[0] == 2


def test_costs_carry_the_machine_they_hold_for() -> None:
    train = {"wall_seconds": 1.0, "machine": {"cpu": "Model T"}, "measured_at": "2026-01-01", "inputs": "0"}
    sizes = {"v": {"total_parameters": 4}}
    params = SimpleNamespace(variants={"v": None})
    study: Any = SimpleNamespace(params=params, costs={"train/v": train}, sizes=sizes)
    found = costs.document(study)["variants"]["v"]
    assert found["train"] == {"wall_seconds": 1.0, "machine": {"cpu": "Model T"}} and found["generate"] == {}
    assert found["total_parameters"] == 4
