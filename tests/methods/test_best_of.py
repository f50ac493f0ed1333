"""Prompts, decodings and the best of several go the road of a variant, from params.yaml to the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config, report
from bench.classifiers import loading
from bench.core import paths, storage
from bench.core.schema import Example, Prediction, UserError
from bench.evaluation import preflight, writing
from bench.report import plots
from stages import generate, score, train, yardsticks
from tests.project import ROOT

EXAMPLES = [
    Example(id=f"e{k}", dialogue_id=f"e{k}", source=f"hello {'abcdefghij'[k]} kind", references=("a b c",))
    for k in range(6)
]
PLAIN: dict[str, Any] = {"method": "none", "init": "base", "learns_from": "models/base"}
VARIANTS = {
    "baseline": PLAIN,
    "two-shot": PLAIN | {"text": {"shots": 2, "prompt": "says {source} : "}},
    "two-shots": PLAIN | {"seeds": [0, 1], "text": {"shots": 2}},
    "beams": PLAIN | {"decoding": "beams"},
    "nucleus": PLAIN | {"decoding": "nucleus"},
    "best": {
        "method": "best_of",
        "init": "two-shot",
        "learns_from": "models/reward",
        "n": 3,
        "reward": {"label": "nothate"},
    },
    "tuned": {
        "method": "sft",
        "init": "two-shot",
        "learns_from": "data/train.jsonl",
        "optim": {"learning_rate": 1e-2, "batch_size": 4, "steps": 1},
    },
}


def study(**changes: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    raw["variants"] = VARIANTS | changes
    raw["generation"] |= {
        "max_new_tokens": 6,
        "samples": 2,
        "decodings": {
            "beams": {"num_beams": 3, "no_repeat_ngram_size": 2},
            "nucleus": {"temperature": 0.7, "top_p": 0.9, "draws": 2},
        },
    }
    raw["text"] |= {"max_source_tokens": 64, "max_target_tokens": 6}
    raw["metrics"] = {"rouge": {}, "kl": {}, "text": {}, "diversity": {}, "sacrebleu": {}}
    raw["report"] |= {"resamples": 200, "slices": []}
    raw["compute"]["threads"] = 1
    del raw["gate"]
    return dict(raw)


@pytest.fixture
def run(tiny_base: Path, tiny_reward: Path) -> dict[str, Any]:
    """The study as it stands after its stages, of a base whose summaries differ."""
    import torch
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(tiny_base)
    torch.manual_seed(51)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(tiny_base)
    raw = study()
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), EXAMPLES)
    params = config.parse(raw)
    preflight.check_starts(params, dict.fromkeys(paths.SPLITS, EXAMPLES))
    for variant in raw["variants"]:
        for stage in (train, generate, score):
            stage.main(variant)
    yardsticks.main()
    return raw


def test_from_params_to_the_report(run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    written = {name: storage.read_rows(paths.predictions_path(name), Prediction) for name in VARIANTS}
    assert {row.shots for row in written["two-shot"]} <= {1, 2}, "a dialogue that is a shot is shown the other one"
    assert {row.shots for row in written["best"]} == {row.shots for row in written["tuned"]} == {1, 2}
    assert {row.shots for row in written["baseline"]} == {0}
    assert {(row.output, row.draw) for row in written["nucleus"] if row.output == "greedy"} == {
        ("greedy", 0),
        ("greedy", 1),
    }
    assert {row.output for row in written["best"]} == {"greedy"}
    prompts = [
        json.loads((paths.model_path(name) / "prompt.json").read_text()) for name in ("two-shot", "best", "tuned")
    ]
    assert prompts[0] == prompts[1] == prompts[2], "what starts from a variant is given the same"
    drawn = [
        [shot["id"] for shot in json.loads((paths.model_path(name) / "prompt.json").read_text())["examples"]]
        for name in ("two-shots", "two-shots/seed-1")
    ]
    assert drawn[0] != drawn[1]
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    report.build(config.parse(run))
    folder = paths.report_dir("miniature")
    metrics = json.loads((folder / "metrics.json").read_text())
    signed = {name: metrics["variants"][name]["rouge1"]["signature"] for name in VARIANTS}
    assert "|gen:bench-generate-2,greedy,max6|" in signed["baseline"]
    assert "num_beams3,no_repeat_ngram_size2,max6|" in signed["beams"]
    assert ",temperature0.7,top_p0.9,draws2,seed0," in signed["nucleus"].replace(
        "draws2,temperature0.7,top_p0.9", "temperature0.7,top_p0.9,draws2"
    )
    assert ",T1,best3,reward@" in signed["best"] and "(nothate)" in signed["best"]
    asked = {name: text.partition("|prompt:")[2].partition("|")[0] for name, text in signed.items()}
    assert asked["best"] == asked["tuned"] == asked["two-shot"] != asked["baseline"] == asked["beams"]
    assert len(asked["two-shots"].split("+")) == 2
    best = metrics["variants"]["best"]
    assert best["kl_start_bound"]["value"] == pytest.approx(math.log(3) - 2 / 3) and "kl_base" not in best
    assert metrics["variants"]["two-shot"]["kl_base"]["value"] > 0, "another prompt is a way from the base"
    assert metrics["variants"]["beams"]["kl_base"]["value"] == pytest.approx(0, abs=1e-6)
    assert "distinct_2_sampled" in metrics["variants"]["baseline"] and "distinct_2" in metrics["variants"]["nucleus"]
    assert metrics["changes"]["beams"]["rouge1"]["against"] == "baseline"
    assert metrics["changes"]["two-shot"]["rouge1"]["against"] == "baseline"
    assert metrics["changes"]["best"]["rouge1"]["against"] == "two-shot"
    page = (folder / "report.md").read_text()
    assert "Prompts and decodings" in page and "beams: `num_beams 3, no_repeat_ngram_size 2`" in page
    assert "best of 3 samples" in page


def test_the_best_is_what_the_reward_says(run: dict[str, Any]) -> None:
    """A plain loop over the same samples: those of the start, by the same numbers."""
    from bench import generation
    from bench.lm import models, prompts

    params = config.parse(run)
    loaded = models.load("best", "cpu")
    text = prompts.of("best", params.text)
    drawn = generation.predict(loaded, EXAMPLES, text, params.generation, 3)
    classifier = loading.load("reward", "cpu")
    kept = {row.id: row.text for row in storage.read_rows(paths.predictions_path("best"), Prediction)}
    for example in EXAMPLES:
        own = [row.text for row in drawn if row.id == example.id]
        rewards = [float(classifier.logits([one])[0, classifier.column("nothate")]) for one in own]
        assert kept[example.id] == own[rewards.index(max(rewards))]


def test_of_equals_the_first_is_the_best() -> None:
    rows = [
        Prediction(id="a", dialogue_id="a", output="sample", draw=k, text=f"t{k}", token_ids=(k,)) for k in range(3)
    ]
    assert [row.text for row in writing.best_of(rows, [1.0, 2.0, 2.0])] == ["t1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"beams": PLAIN | {"decoding": "beam"}},
            r"variants\.beams\.decoding: generation\.decodings has no 'beam'; did you mean 'beams'",
        ),
        ({"few": PLAIN | {"text": {"shot": 2}}}, r"variants\.few\.text\.shot: unknown key; did you mean 'shots'"),
        ({"few": PLAIN | {"text": {"shots": 65}}}, r"variants\.few\.text\.shots"),
        (
            {"few": PLAIN | {"seeds": [0, 1], "text": {"prompt": "a {source}"}}},
            "trains nothing, so seeds change nothing",
        ),
        (
            {"few": {"method": "outputs", "init": "base", "learns_from": "local/x.txt", "text": {"shots": 2}}},
            r"variants\.few\.text: another system wrote its summaries",
        ),
        (
            {"after": PLAIN | {"init": "best", "learns_from": "models/best"}},
            r"variants\.after\.init: 'best' is the best of several samples, no model; start from 'two-shot'",
        ),
        (
            {"few": {"method": "best_of", "init": "base", "learns_from": "models/judge"}},
            "training must never see the judge|has no label",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(changes: dict[str, Any], said: str, workdir: Path) -> None:
    with pytest.raises(UserError, match=said):
        config.parse(study(**changes))


def test_shots_of_the_whole_study_are_refused(workdir: Path) -> None:
    raw = study()
    raw["text"]["shots"] = 2
    with pytest.raises(UserError, match=r"text\.shots: shots are a variant's"):
        config.parse(raw)
