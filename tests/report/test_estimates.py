"""Every number of metrics.json against naive arithmetic."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench import stats
from bench.core import parameters, paths, storage
from bench.core.schema import ScoreRow
from bench.report import estimates, inputs
from tests.report.toy import Built, column, fabricate, toy_params


@pytest.mark.parametrize("key", ["rouge1", "toxicity_judge", "toxicity_judge_sampled"])
def test_values_are_means_of_dialogue_means_with_clustered_errors(built: Built, key: str) -> None:
    for system, entries in (built[1]["variants"] | built[1]["yardsticks"]).items():
        if key not in entries:
            assert system in paths.YARDSTICKS
            continue
        values = column(system, key)
        assert entries[key]["value"] == pytest.approx(values.mean(), rel=1e-5)
        assert entries[key]["se"] == pytest.approx(values.std(ddof=1) / np.sqrt(24), rel=1e-5)
        assert entries[key]["low"] < entries[key]["value"] < entries[key]["high"]
        assert entries[key]["n"] == 24
        assert entries[key]["signature"] == f"{key}|tool-1|n:24"


def test_further_statistics_stand_where_the_column_lists_them(built: Built) -> None:
    entry, values = built[1]["variants"]["full"]["toxicity_judge"], column("full", "toxicity_judge")
    assert entry["std"] == pytest.approx(values.std(ddof=1), rel=1e-5)
    assert entry["p95"] == pytest.approx(np.quantile(values, 0.95, method="inverted_cdf"), rel=1e-5)
    assert entry["max"] == pytest.approx(values.max(), rel=1e-5)
    assert entry["rate_50"] == pytest.approx((values > 0.5).mean(), abs=1e-6)
    assert entry["rate_10"] == pytest.approx((values > 0.1).mean(), rel=1e-5)
    assert not {"std", "p95"} & built[1]["variants"]["full"]["rouge1"].keys()


def test_changes_are_paired_against_the_variants_own_start(built: Built) -> None:
    changes = built[1]["changes"]
    assert {name: changes[name]["rouge1"]["against"] for name in changes} == {
        "full": "baseline",
        "lora": "baseline",
        "ppo": "full",
        "dpo": "full",
    }
    before, after = column("full", "toxicity_judge"), column("ppo", "toxicity_judge")
    change = changes["ppo"]["toxicity_judge"]
    low, high = stats.mean_intervals((after - before)[:, None], [(-1.0, 1.0)], count=400)
    expected = (after - before).mean(), low[0], high[0]
    assert (change["difference"], change["low"], change["high"]) == pytest.approx(expected, rel=1e-5)
    assert change["p"] == pytest.approx(stats.sign_flip(after - before, 400)[0], rel=1e-5)
    assert change["smallest_detectable"] == pytest.approx(2.8 * (after - before).std(ddof=1) / np.sqrt(24), rel=1e-5)
    assert change["mean_improvement"] == pytest.approx((before.mean() - after.mean()) / before.mean(), rel=1e-4)
    assert change["std_improvement"] == pytest.approx(1 - after.std(ddof=1) / before.std(ddof=1), rel=1e-4)
    assert change["mean_improvement_low"] < change["mean_improvement"] < change["mean_improvement_high"]
    assert "mean_improvement" not in changes["ppo"]["rouge1"]


RESULTS = ("rouge1", "toxicity_reward", "toxicity_reward_sampled", "toxicity_judge", "toxicity_judge_sampled", "reward")


def test_holm_corrects_over_the_whole_table(built: Built) -> None:
    changes = built[1]["changes"]
    tables = [[changes[name][key] for name in ("ppo", "dpo") for key in RESULTS]]
    quality = ("rouge1", "rouge2", "rougeL", "rougeLsum", "toxicity_reward", "toxicity_judge")
    tables += [[changes[name][key] for name in ("full", "lora") for key in quality]]
    tables += [[c for name in ("ppo", "dpo") for key, c in changes[name].items() if key not in RESULTS]]
    for family in tables:
        assert [change["p_holm"] for change in family] == pytest.approx(
            stats.holm([change["p"] for change in family]), rel=1e-5
        )


def test_the_least_p_is_holm_s_if_all_that_differs_agreed(built: Built) -> None:
    family = [built[1]["changes"][name][key] for name in ("ppo", "dpo") for key in RESULTS]
    for k, change in enumerate(family):
        alone = max(2.0 ** (1 - change["changed"]), 1 / 401)
        p = [alone if j == k else other["p"] for j, other in enumerate(family)]
        assert change["p_least"] == pytest.approx(stats.holm(p)[k], rel=1e-5)


def test_columns_with_another_signature_are_not_compared(built: Built) -> None:
    assert "kl_base" in built[1]["changes"]["ppo"]
    assert "kl_start" not in built[1]["changes"]["ppo"]  # measured against full here, against base there
    assert "toxicity_judge_input" not in built[1]["changes"]["ppo"]


def test_metrics_hold_no_times_and_six_digits(built: Built) -> None:
    text = (built[0] / "metrics.json").read_text()
    assert "second" not in text and "bytes" not in text and "NaN" not in text
    numbers = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", re.sub(r'"signature": ".*"', "", text))
    assert numbers
    assert all(float(f"{float(number):.6g}") == float(number) for number in numbers)


def test_a_column_that_lacks_dialogues_is_compared_on_the_common_ones(study: parameters.Params) -> None:
    rows = storage.read_scores("ppo")
    kept = [r for r in rows if not (r.metric == "kl" and r.output == "sample" and r.id in ("t1", "t2"))]
    storage.write_rows(paths.scores_path("ppo"), kept)
    metrics, _ = estimates.measure(inputs.read(study))
    assert metrics["variants"]["ppo"]["kl_base_sampled"]["n"] == 22
    change = metrics["changes"]["ppo"]["kl_base_sampled"]
    kept_places = [k for k in range(24) if k not in (1, 2)]
    gaps = column("ppo", "kl_base_sampled") - column("full", "kl_base_sampled")[kept_places]
    assert change["n"] == 22
    assert change["difference"] == pytest.approx(gaps.mean(), rel=1e-5)


def test_a_slice_by_a_level_holds_the_dialogues_beyond_it(workdir: Path) -> None:
    """By the dialogue's own toxicity, a column that no variant changes."""
    fabricate()
    first = next(iter(inputs.read(toy_params()).systems))  # in earnest every system has the same
    rows = storage.read_rows(paths.scores_path(first), ScoreRow)
    own = {row.dialogue_id: row.values["toxicity_judge_input"] for row in rows if "toxicity_judge_input" in row.values}
    level = float(np.sort(list(own.values()))[-9:-7].mean())  # eight dialogues lie above
    names = [
        f"toxicity_judge_input>{level:.9f}",
        f"toxicity_judge_input<{level:.9f}",
        "rouge1>0.1",
        "toxicity_judge_input>9",
    ]
    asked = parameters.ReportConfig(resamples=400, slices=names)
    found, _ = estimates.measure(inputs.read(toy_params(report=asked)))
    assert list(found["dialogues_of"]) == names[:2], (
        "a column of summaries is no slice, nor a level that nothing passes"
    )
    above = {name for name, value in own.items() if value > level}
    assert set(found["dialogues_of"][names[0]]) == above and len(above) == 8
    assert set(found["dialogues_of"][names[1]]) == set(own) - above
    assert found["slices"][names[0]]["ppo"]["toxicity_judge"]["n"] == 8
