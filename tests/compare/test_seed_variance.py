"""Variants with several seeds in gate and diff: seed variance is measured, and a mean is compared with a mean."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from ruamel.yaml import YAML

from bench import stats
from bench.compare import seed_variance
from bench.compare.simulation import characteristics
from bench.compare.snapshot import read
from bench.compare.sources import Tree
from bench.config.gate import GateConfig, Margin

N = 60  # dialogues of the project
Bench = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]
QUIET, NOISY = (0.0, 0.1, -0.1), (3.0, -2.0, -1.0)  # how trainings of one recipe differ from its mean, in points


def trained(shifts: tuple[float, ...], points: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    """(N, S) scores: dialogues, what each training shifts, and rows of their own; the recipe is `points` better."""
    rng = np.random.default_rng(11)
    dialogues, own = rng.normal(0.6, 0.13, (N, 1)), np.random.default_rng(seed).normal(0, 0.02, (N, len(shifts)))
    own -= own.mean(axis=0)  # the shift of a training is what is said
    toxicity = rng.beta(1, 12, (N, 1)) + 0 * own
    return {
        "rouge1": (dialogues + (points + np.array(shifts)) / 100 + own).round(6),
        "toxicity_judge": toxicity.round(6),
        "words": np.full((N, len(shifts)), 12.0),
    }


def run(project: Any, shifts: tuple[float, ...], points: float = 0.0, seed: int = 0) -> None:
    """Put a state with three trainings in place."""
    project.params["gate"] = {}
    project.seeds = {"lora": list(range(len(shifts)))}
    project.values["lora"] = trained(shifts, points, seed)
    project.write()


def verdict(bench: Bench, project: Any) -> dict[str, Any]:
    bench("gate", "--against", "HEAD", "--json", str(project.root / "out.json"))
    told = json.loads((project.root / "out.json").read_text())
    found: dict[str, Any] = next(
        each for each in told["verdicts"] if (each["variant"], each["measure"]) == ("lora", "rouge1")
    )
    return found


def test_the_bounds_are_widened_by_what_training_again_does(project: Any, bench: Bench) -> None:
    run(project, NOISY)
    project.commit()
    run(project, tuple(reversed(NOISY)), points=-2, seed=1)
    found = verdict(bench, project)
    # Three trainings a side, four degrees of freedom; the rows' own noise, .02 / sqrt(60) a training, is taken off.
    spread = [
        np.var(state["rouge1"].mean(axis=0), ddof=1) * 1e4
        for state in (trained(NOISY), trained(tuple(reversed(NOISY)), -2, 1))
    ]
    assert found["seed_sd"] == pytest.approx(math.sqrt(np.mean(spread)), rel=0.01)
    assert found["trainings"] == [3, 3]
    gains = 100 * (trained(NOISY, seed=1)["rouge1"].mean(axis=1) - trained(NOISY)["rouge1"].mean(axis=1))
    own = scipy.stats.t.ppf(0.95, N - 1) * scipy.stats.sem(gains)
    half_width = scipy.stats.t.ppf(0.95, 4) * math.sqrt(np.mean(spread) * 2 / 3)
    assert found["gain"] == pytest.approx(-2, abs=0.02)
    assert found["upper"] == pytest.approx(-2 + math.hypot(own, half_width), rel=0.02)
    assert found["lower"] == pytest.approx(-2 - math.hypot(own, half_width), rel=0.02)
    assert found["verdict"] == "INCONCLUSIVE"
    assert "more seeds would decide" in found["reason"]


def test_the_same_drop_fails_where_training_is_quiet_and_not_where_it_was_done_once(project: Any, bench: Bench) -> None:
    run(project, QUIET)
    project.commit()
    run(project, QUIET, points=-2, seed=1)
    found = verdict(bench, project)
    assert found["verdict"] == "FAIL"
    assert "df 4; 3 and 3 trainings" in found["reason"]
    project.seeds = {}
    project.values["lora"] = {name: values[:, 0] for name, values in trained(NOISY).items()}
    project.commit()
    project.values["lora"] = {name: values[:, 1] for name, values in trained(NOISY).items()}
    project.write()
    found = verdict(bench, project)
    assert found["verdict"] == "INCONCLUSIVE"  # a bad seed is not blamed on the recipe
    assert "seed_sd" not in found


def test_a_state_without_seeds_is_judged_by_the_noise_of_the_other(project: Any, bench: Bench) -> None:
    run(project, NOISY)
    project.commit()
    project.seeds = {}
    project.values["lora"] = {name: values[:, 1] for name, values in trained(NOISY).items()}
    project.write()
    found = verdict(bench, project)
    assert found["trainings"] == [3, 1]
    half_width = scipy.stats.t.ppf(0.95, 2) * found["seed_sd"] * math.sqrt(1 / 3 + 1)
    assert found["gain"] - found["lower"] >= half_width
    assert found["verdict"] == "INCONCLUSIVE"


def test_equal_rows_pass_whatever_the_noise(project: Any, bench: Bench) -> None:
    run(project, NOISY)
    project.commit()
    assert verdict(bench, project)["verdict"] == "PASS"
    code, out, _ = bench("gate", "--against", "HEAD", "--rule", "same-predictions", "--variant", "lora")
    assert (code, "FAIL" in out) == (0, False)
    project.values["lora"]["words"][3, 2] += 1
    project.write()
    assert bench("gate", "--against", "HEAD", "--rule", "same-predictions", "--variant", "lora")[0] == 1


def test_a_seed_without_a_row_is_refused(project: Any, bench: Bench, refused: Refused) -> None:
    run(project, QUIET)
    project.commit()
    lines = [line for line in project.scores().splitlines() if not line.startswith("lora,t5,d5,greedy,0,2,")]
    (project.report / "scores.csv").write_text("\n".join(lines) + "\n")
    project.lock()
    refused(bench("gate", "--against", "HEAD"), "lacks row 't5' of seed '2'")


def test_trainings_stand_in_columns(project: Any) -> None:
    run(project, NOISY)
    state = read(Tree(), "toy")
    table = seed_variance.by_training(state, "lora", "rouge1")
    order = sorted(range(N), key=lambda k: f"d{k}")
    np.testing.assert_allclose(table, trained(NOISY)["rouge1"][order], atol=1e-6)
    for name, trainings in (("lora", 3), ("baseline", 1)):  # what has no seeds is judged by those of the others
        found = seed_variance.known(state, state, name, "rouge1", None, 100)
        assert found is not None
        assert (found.df, found.before, found.after) == (4, trainings, trainings)


def test_a_variant_that_spreads_more_than_the_pool_is_judged_by_its_own(project: Any) -> None:
    """Two variants with seeds: numpy's variances of the mean, less what the dialogues' noise adds (a two-way table by hand)."""
    project.seeds = {"lora": [0, 1, 2], "full": [0, 1, 2]}
    project.values["lora"], project.values["full"] = trained(NOISY), trained(QUIET)
    project.write()
    state = read(Tree(), "toy")
    own = {}
    for name in ("lora", "full"):
        table = seed_variance.by_training(state, name, "rouge1")
        rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        noise = (rest**2).sum() / ((N - 1) * 2)
        own[name] = max(table.mean(0).var(ddof=1) - noise / N, 0.0)
    pooled = (own["lora"] + own["full"]) / 2
    assert own["full"] < pooled < own["lora"]
    for name, expected in (("lora", own["lora"]), ("full", pooled), ("baseline", pooled)):
        found = seed_variance.known(state, state, name, "rouge1", None, 100)
        assert found is not None
        assert found.sd == pytest.approx(expected**0.5, rel=1e-4)
        assert found.df == 8


def test_the_diff_names_the_seed_of_a_row_and_other_seeds(project: Any, bench: Bench) -> None:
    project.texts = {"lora": [f"They meet at {k}." for k in range(N)]}
    run(project, QUIET)
    project.commit()
    project.values["lora"]["rouge1"][9, 1] -= 0.3
    project.write()
    told = json.loads(bench("diff", "HEAD", "--format", "json")[1])
    assert [(row["id"], row["seed"]) for row in told["rows"]["lora"]] == [("t9", "1")]
    assert told["scores"][0]["difference"] == pytest.approx(-0.3 / 3 / N, rel=1e-3)
    assert "| t9, seed 1 |" in bench("diff", "HEAD", "--format", "markdown")[1]
    project.seeds = {"lora": [5, 6]}
    project.values["lora"] = {name: values[:, :2] for name, values in trained(QUIET, -1, 1).items()}
    project.write()
    told = json.loads(bench("diff", "HEAD", "--format", "json")[1])
    assert told["rows"] == {}
    assert told["notes"] == [
        "lora: seeds 0, 1, 2 before, seeds 5, 6 now; means are compared, rows are shown of a seed that both have"
    ]
    assert told["not_compared"] == []
    assert [score["column"] for score in told["scores"]] == ["rouge1"]  # words and toxicity are the same, seed by seed


def runs(data: tuple[str, str, str]) -> dict[str, dict[str, Any]]:
    """The metrics of three runs; `ppo` collapsed in the last, so that nothing compares it."""

    def entry(value: float, digest: str) -> dict[str, Any]:
        return {"value": value, "se": 0.01, "signature": f"r|x-1|data:toy@{digest}|n:9"}

    return {
        f"run{k}": {
            "variants": {name: {"rouge1": entry(value, data[k])} for name in ("baseline", "lora", "ppo")},
            "changes": {"lora": {}, "ppo": {}} if k < 2 else {"lora": {}},
        }
        for k, value in enumerate((0.50, 0.52, 0.57))
    }


def test_runs_with_other_data_are_cleared_of_their_dialogues_noise() -> None:
    apart = seed_variance.of_runs(runs(("a", "b", "c")), "rouge1")
    assert apart is not None
    assert apart.by_variant == {"lora": pytest.approx(math.sqrt(np.var([50, 52, 57], ddof=1) - 1) / 100)}
    assert apart.stated == pytest.approx(np.std([0.50, 0.52, 0.57], ddof=1))
    assert "also of data and models: run0, run1, run2" in apart.source
    shared = seed_variance.of_runs(runs(("a", "a", "a")), "rouge1")
    assert shared is not None
    assert shared.by_variant == {"lora": pytest.approx(np.std([0.50, 0.52, 0.57], ddof=1))}
    assert seed_variance.of_runs(runs(("a", "b", "c")), "words") is None


def test_the_reports_own_seeds_tell_its_noise(project: Any) -> None:
    run(project, NOISY)
    known = seed_variance.of_seeds(read(Tree(), "toy"), "rouge1")
    assert known is not None
    assert list(known.by_variant) == ["lora"]
    assert 100 * known.pooled == pytest.approx(np.std(NOISY, ddof=1), rel=0.01)


def test_the_simulated_estimate_of_the_noise_is_that_of_simulated_rows() -> None:
    """What the simulation draws from chi-squares against `stats.crossed` on rows of two states with three trainings."""
    rng, n, own, noise = np.random.default_rng(1), 300, 25.0, 0.5
    made = []
    for _ in range(300):
        variances = []
        for _ in range(2):
            rows = rng.normal(0, 10, (n, 1)) + rng.normal(0, noise, 3) + rng.normal(0, math.sqrt(own), (n, 3))
            variances.append(stats.crossed(rows).sd_training ** 2)
        made.append(math.sqrt(np.mean(variances)))
    values = rng.normal(0, math.sqrt(own / (1 - characteristics.CORRELATION)), 2000)
    cell = characteristics.Cell("lora", "rouge1", "ROUGE-1", Margin(), values, None)
    drawn, df = characteristics._estimated([(cell, noise)], n, "seeds", 20_000, rng)["lora", "rouge1"]
    assert df == 4
    assert scipy.stats.ks_2samp(made, drawn).pvalue > 0.01


def test_the_study_as_a_command_measures_and_writes_the_spread_of_training(
    project: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(characteristics, "SIZES", (125,))
    for name, data in (("one", "a"), ("two", "b")):
        folder = project.root / "reports" / name
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps(runs((data, "", ""))["run0" if name == "one" else "run1"]))
    (project.root / "params.yaml").write_text("# kept\n" + (project.root / "params.yaml").read_text())
    code, out, err = bench("gate-study", "--studies", "100", "--runs", "reports/one", "reports/two")
    assert (code, err) == (0, ""), out
    text = (project.root / "reports" / "gate" / "characteristics.md").read_text()
    assert "Measured on 2 runs with other seeds" in text
    written = (project.root / "params.yaml").read_text()
    assert written.startswith("# kept\n")
    stated = GateConfig(**YAML(typ="safe").load(written)["gate"]).training_sd_of("rouge1")
    known = seed_variance.of_runs(
        {name: json.loads((project.root / "reports" / name / "metrics.json").read_text()) for name in ("one", "two")},
        "rouge1",
    )
    assert known is not None and stated is not None
    assert (stated.sd, stated.df) == (pytest.approx(100 * known.stated, rel=0.05), known.df)
