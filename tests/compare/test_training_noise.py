"""Variants with several seeds in gate and diff: the noise of training is measured, and a mean is compared with a mean."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from bench.compare import training_noise
from bench.compare.snapshot import read
from bench.compare.sources import Tree

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
    assert found["training_noise"] == pytest.approx(math.sqrt(np.mean(spread)), rel=0.01)
    assert found["trainings"] == [3, 3]
    gains = 100 * (trained(NOISY, seed=1)["rouge1"].mean(axis=1) - trained(NOISY)["rouge1"].mean(axis=1))
    own = scipy.stats.norm.ppf(0.95) * scipy.stats.sem(gains)
    reach = scipy.stats.t.ppf(0.95, 4) * math.sqrt(np.mean(spread) * 2 / 3)
    assert found["gain"] == pytest.approx(-2, abs=0.02)
    assert found["upper"] == pytest.approx(-2 + math.hypot(own, reach), rel=0.02)
    assert found["lower"] == pytest.approx(-2 - math.hypot(own, reach), rel=0.02)
    assert found["verdict"] == "INCONCLUSIVE"
    assert "more seeds would decide" in found["reason"]


def test_the_same_drop_fails_where_training_is_quiet_or_was_done_once(project: Any, bench: Bench) -> None:
    run(project, QUIET)
    project.commit()
    run(project, QUIET, points=-2, seed=1)
    found = verdict(bench, project)
    assert found["verdict"] == "FAIL"
    assert "from 3 and 3 trainings" in found["reason"]
    project.seeds = {}
    project.values["lora"] = {name: values[:, 0] for name, values in trained(NOISY).items()}
    project.commit()
    project.values["lora"] = {name: values[:, 1] for name, values in trained(NOISY).items()}
    project.write()
    found = verdict(bench, project)
    assert found["verdict"] == "FAIL"  # a bad seed is blamed on the recipe: this is what seeds are for
    assert "training_noise" not in found


def test_a_state_without_seeds_is_judged_by_the_noise_of_the_other(project: Any, bench: Bench) -> None:
    run(project, NOISY)
    project.commit()
    project.seeds = {}
    project.values["lora"] = {name: values[:, 1] for name, values in trained(NOISY).items()}
    project.write()
    found = verdict(bench, project)
    assert found["trainings"] == [3, 1]
    reach = scipy.stats.t.ppf(0.95, 2) * found["training_noise"] * math.sqrt(1 / 3 + 1)
    assert found["gain"] - found["lower"] >= reach
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
    table = training_noise.by_training(state, "lora", "rouge1")
    order = sorted(range(N), key=lambda k: f"d{k}")
    np.testing.assert_allclose(table, trained(NOISY)["rouge1"][order], atol=1e-6)
    assert training_noise.measured(state, state, "baseline", "rouge1") is None


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
