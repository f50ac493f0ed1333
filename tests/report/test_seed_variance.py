"""A variant with `seeds` through its stages: each training is the very one that its seed alone would give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from bench import stats
from bench.core import costs, manifest, paths, storage
from bench.core.schema import Example
from bench.lm import models
from bench.report import plots
from stages import generate, report, score, train

OPTIM = {"learning_rate": 5e-2, "batch_size": 4, "steps": 3}
LORA = {"type": "LORA", "r": 2, "lora_alpha": 16, "target_modules": ["q", "v", "lm_head"]}
BLOCK = {"method": "sft", "init": "base", "learns_from": "data/train.jsonl", "optim": OPTIM, "adapter": LORA}
PARAMS: dict[str, Any] = {
    "study": "toy",
    "compute": {"device": "cpu", "threads": 1},
    "text": {"max_target_tokens": 12},
    "data": {"dataset": "miniature"},
    "checkpoints": {
        name: {"source": "miniature_t5", "seed": seed} for seed, name in enumerate(("base", "reward", "judge"))
    },
    "variants": {
        "baseline": {"method": "none", "init": "base", "learns_from": "models/base"},
        "many": BLOCK | {"seeds": [7, 1]},
        "alone": BLOCK | {"seed": 1},
        "child": {"method": "none", "init": "many", "learns_from": "models/many"},
    },
    "generation": {"max_new_tokens": 6, "samples": 1},
    "metrics": {"rouge": {}, "kl": {}},
    "report": {"resamples": 200, "examples": 1},
}


@pytest.fixture
def project(tiny_base: Path, tiny_reward: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variants trained, generated and scored, and the report built without its pictures."""
    shutil.copytree(tiny_reward, workdir / "models" / "judge")
    with (workdir / "params.yaml").open("w") as file:
        YAML().dump(PARAMS, file)
    rows = [
        Example(
            id=f"e{k}",
            dialogue_id=f"d{k}",
            source=f"#person1# : {a} {b} #person2# : {b}",
            references=(f"{a} meets {b}", b),
        )
        for k, (a, b) in enumerate(zip("abcdefghij", "jihgfedcba", strict=True))
    ]
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), rows)
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    for name in PARAMS["variants"]:
        train.main(name)
        generate.main(name)
        score.main(name)
    storage.write_rows(paths.scores_path("lead-3"), [])
    report.main()
    return workdir


def test_seeds_end_to_end(project: Path) -> None:
    """One test, for the trainings cost most of its time."""
    weights_are_those_of_the_seed_alone()
    rows_are_those_of_the_seed_alone()
    costs_are_summed()
    the_report_averages_and_shows_both_parts(project)


def weights_are_those_of_the_seed_alone() -> None:
    def stored(name: str) -> bytes:
        return (paths.model_path(name) / "adapter_model.safetensors").read_bytes()

    assert stored("many/seed-1") == stored("alone") != stored("many")
    assert models.load("many/seed-1", "cpu").kind == "adapter"
    assert manifest.digest("child") == manifest.digest("many")
    curves = [paths.curve_path(name).read_text() for name in ("many/seed-1", "alone", "many")]
    assert curves[0] == curves[1] != curves[2]
    assert {path.name for path in paths.CURVES.iterdir()} == {f"{name}.csv" for name in PARAMS["variants"]}


def rows_are_those_of_the_seed_alone() -> None:
    for read in (storage.read_predictions, storage.read_scores):
        many: list[Any] = list(read("many"))
        assert [row.seed for row in many] == sorted((row.seed for row in many), key=[7, 1].index)
        own = [row.model_copy(update={"seed": None}) for row in many if row.seed == 1]
        assert own == read("alone")
        assert own != [row.model_copy(update={"seed": None}) for row in many if row.seed == 7]
    for path in (paths.predictions_path("alone"), paths.scores_path("alone")):
        assert '"seed"' not in path.read_text()


def costs_are_summed() -> None:
    many, alone = (storage.read_json(costs.path_of("train", name)) for name in ("many", "alone"))
    assert many["training_examples"] == 2 * alone["training_examples"] == 24
    rate = many["training_examples"] / many["training_seconds"]
    assert many["training_examples_per_second"] == pytest.approx(rate, rel=0.01)
    sizes = [storage.read_json(paths.signatures_path(name))["model"] for name in ("many", "alone")]
    assert sizes[0] == sizes[1] and sizes[0]["trainable_parameters"] > 0
    many, alone = (storage.read_json(costs.path_of("generate", name)) for name in ("many", "alone"))
    assert many["sampling_examples"] == 2 * alone["sampling_examples"] == 20


def the_report_averages_and_shows_both_parts(project: Path) -> None:
    metrics = json.loads((project / "reports" / "toy" / "metrics.json").read_text())
    text = (project / "reports" / "toy" / "report.md").read_text()
    assert list(metrics["trainings"]) == ["many"]
    for key in ("rouge1", "kl_start", "kl_base_sampled"):
        parts, entry = metrics["trainings"]["many"][key], metrics["variants"]["many"][key]
        values = np.array([by_dialogue(key, seed) for seed in (7, 1)]).T
        assert parts["by_seed"] == pytest.approx({"7": values[:, 0].mean(), "1": values[:, 1].mean()}, rel=1e-5)
        assert parts["by_seed"]["1"] == metrics["variants"]["alone"][key]["value"]
        assert entry["value"] == parts["value"] == pytest.approx(values.mean(), rel=1e-5)
        assert entry["n"] == 10
        assert parts["se_dialogues"] == pytest.approx(entry["se"], rel=1e-5)
        assert parts["sd_training"] == pytest.approx(stats.crossed(values).sd_training, rel=1e-5, abs=1e-9)
        half_width = stats.seed_half_width(parts["sd_training"], 2, 1, 0.975)
        assert parts["high"] - parts["value"] == pytest.approx(
            np.hypot(entry["high"] - entry["value"], half_width), rel=1e-3
        )
    change, alone = metrics["trainings"]["many"]["rouge1"]["change"], metrics["changes"]["many"]["rouge1"]
    assert (change["against"], change["difference"]) == ("baseline", alone["difference"])
    assert change["low"] <= alone["low"] <= alone["high"] <= change["high"]
    assert "## Variance over training seeds" in text and "`many` was trained with the seeds 7, 1." in text
    assert "Times of `many` are sums over the seeds" in text and "many 7 1" in text
    header = (project / "reports" / "toy" / "scores.csv").read_text().splitlines()[0]
    assert header.startswith("variant,id,dialogue_id,output,draw,seed,")
    shown = [json.loads(line) for line in (project / "reports" / "toy" / "predictions.jsonl").read_text().splitlines()]
    assert [row.get("seed") for row in shown if row["id"] == "e0"] == [None, 7, 1, None, None]


def by_dialogue(key: str, seed: int) -> list[float]:
    """(n,): the values of one training, read naively."""
    base, sampled = key.removesuffix("_sampled"), key.endswith("_sampled")
    rows = [row for row in storage.read_scores("many") if base in row.values and (row.output == "sample") == sampled]
    return [row.values[base] for row in rows if row.seed == seed]
