"""From rankings over a reward model to a report: every block of preferences goes the road of its stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from bench import config, metrics, report, stats
from bench.core import manifest, paths, storage
from bench.core.schema import Example, UserError
from bench.evaluation import preflight, scoring
from bench.rankings import Ranking
from bench.report import plots
from bench.report.study import Study, SystemScores
from stages import generate, preferences, reward, score, train, yardsticks
from tests.project import ROOT

WORDS = "abcdefghij"
EXAMPLES = [
    Example(
        id=f"e{k}",
        dialogue_id=f"e{k}",
        source=f"#person1# hello {WORDS[k % 10]} you are kind #person2# {WORDS[(k * 3) % 10]} friend",
        references=(f"{WORDS[k % 10]} meets {WORDS[(k * 3) % 10]}",),
    )
    for k in range(24)
]
OPTIM = {"learning_rate": 2e-3, "batch_size": 4, "steps": 3}
SAMPLES = {"prompts": 16, "samples": 8, "max_new_tokens": 6}
ONLINE = {
    "iterations": 2,
    "batch_size": 8,
    "minibatch_size": 4,
    "max_new_tokens": 6,
    "keep_every": 1,
}
SPLIT = {"validation": 0.25, "test": 0.25}


def variant(method: str, learns_from: str = "models/rm", **block: Any) -> dict[str, Any]:
    return {"method": method, "init": "base", "learns_from": learns_from, **block}


def study(**changes: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "preferences.yaml").read_text())
    raw["data"] = {"dataset": "dialogsum", "path": ".", **{s: {"file": f"{s}.jsonl"} for s in paths.SPLITS}}
    raw["checkpoints"] |= {
        role: {"source": "miniature_classifier", "role": role, "seed": 0} for role in ("reward", "judge")
    }
    raw["preferences"] = {
        "own": {
            "source": "sampled",
            "init": "base",
            "learns_from": "data/train.jsonl",
            "reward": {"metric": "rouge1", "also": {"length": 0.01}},
            "samples": SAMPLES,
            **SPLIT,
        },
        "given": {"source": "files", "init": "base", "learns_from": "given.jsonl", **SPLIT},
    }
    raw["rewards"] = {
        "rm": {"form": "log_ratio", "init": "base", "learns_from": "preferences/own", "tested_on": "preferences/given"},
        "second": {"form": "head", "init": "base", "learns_from": "preferences/given", "tested_on": "preferences/own"},
    }
    for block in raw["rewards"].values():
        block["optim"] = OPTIM
    raw["variants"] = {
        "baseline": {"method": "none", "init": "base", "learns_from": "models/base"},
        "ppo": variant("ppo", **ONLINE),
        "grpo": variant("grpo", **ONLINE, group_size=4),
        "rloo": variant("rloo", **ONLINE, group_size=4),
        "rejection": variant("rejection", samples=SAMPLES, optim=OPTIM, keep_every=2),
        "dpo": variant("dpo", pairs={**SAMPLES, "margin": 0.0}, optim=OPTIM, keep_every=2),
        "by-pairs": variant("dpo", "preferences/own", pairs={"margin": 0.0}, optim=OPTIM, keep_every=2),
        "best": variant("best_of", n=3),
        "by-rouge": variant("grpo", "data/train.jsonl", **ONLINE, group_size=4, reward={"metric": "rouge1"}),
    }
    raw["generation"] |= {"max_new_tokens": 6, "samples": 1, "batch_size": 8}
    raw["text"] |= {"max_source_tokens": 64, "max_target_tokens": 6}
    raw["metrics"] = {"rouge": {}, "kl": {}, "text": {}, "reward_model": {"followed": ["rm"], "judges": ["second"]}}
    raw["report"] |= {"resamples": 200}
    raw["compute"]["threads"] = 1
    return dict(raw) | changes


@pytest.fixture
def run(tiny_base: Path, tiny_reward: Path) -> dict[str, Any]:
    """The study after its stages, of a base whose summaries differ."""
    import torch
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(tiny_base)
    torch.manual_seed(51)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(tiny_base)
    rows = [
        {"source": e.source, "chosen": e.references[0], "rejected": "idiot idiot idiot", "dialogue_id": e.id}
        for e in EXAMPLES
    ]
    Path("given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = study()
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), EXAMPLES)
    params = config.parse(raw)
    preflight.check_starts(params, dict.fromkeys(paths.SPLITS, EXAMPLES))
    preflight.check_preferences(params)
    preflight.check_reward_models(params, EXAMPLES)
    for name in raw["preferences"]:
        preferences.main(name)
    for name in raw["rewards"]:
        reward.main(name)
    for name in raw["variants"]:
        for stage in (train, generate, score):
            stage.main(name)
    yardsticks.main()
    return raw


def test_from_rankings_to_the_report(run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    params = config.parse(run)
    parts = {s: storage.read_rows(paths.preferences_path("own", s), Ranking) for s in paths.SPLITS}
    dialogues = [{one.dialogue_id for one in rows} for rows in parts.values()]
    assert all(dialogues) and not dialogues[0] & dialogues[1] and not dialogues[0] & dialogues[2]
    about = {name: storage.read_object(paths.reward_path(name)) for name in run["rewards"]}
    assert about["rm"]["sha256"] == manifest.digest("rm")
    assert set(about["rm"]["tests"]) == {"own", "given"} and about["rm"]["learns_from"] == ["own"]
    assert about["second"]["tests"]["given"]["rows"][0]["accuracy"]["value"] > 0.5
    assert about["rm"]["tests"]["own"]["rows"][0]["rouge1"]["value"] > 0.5, "they were ranked by it"
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.setdefault(path.stem, figure))
    report.build(params)
    folder = paths.report_dir("preferences")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "alignment" in drawn
    compared = {"ppo", "grpo", "rloo", "rejection", "dpo", "by-pairs", "best"}
    assert metrics["alignment"]["by"] == "reward_second"
    tested = [{pair["better"], pair["worse"]} for pair in metrics["alignment"]["pairs"]]
    of = (compared | {"by-rouge"}) - set(metrics["collapsed"])
    assert len(of) > 5
    assert len(tested) == len(of) * (len(of) - 1) // 2 and set.union(*tested) == of
    for name in compared - set(metrics["collapsed"]):
        rests = metrics["panel"][name]["rests_on"]
        assert {"reward_second", "reward_rm"} <= set(rests) and metrics["panel"][name]["verdict"] != "cannot be told"
    assert "rouge1" in metrics["panel"]["by-rouge"]["rests_on"]
    if "by-pairs" not in metrics["collapsed"]:
        assert "rouge1" in metrics["panel"]["by-pairs"]["rests_on"], "its preferences were ranked by it"
    page = (folder / "report.md").read_text()
    for words in (
        "## Which method?",
        "## How often the reward models are right",
        "learnt from `own`",
        "| grpo | grpo | 16 |",
    ):
        assert words in page, words
    head = page.partition("## Details")[0].partition("<summary>How the verdict is found")[0]
    assert "toxic" not in head, "no reward here is about it"


def test_a_policy_on_its_way_is_scored_by_every_metric(run: dict[str, Any]) -> None:
    """A plain loop over what it wrote: means over the dialogues, reward and KL as training saw them."""
    from bench.classifiers import loading
    from bench.core.schema import Written

    about = storage.read_object(paths.signatures_path("grpo"))
    rows = storage.read_rows(paths.model_path("grpo") / paths.PROGRESS, Written)
    assert [row["step"] for row in about["progress"]] == [0.0, 1.0, 2.0] and about["samples"] == 16
    second, by_id = loading.load("second", "cpu"), {e.id: e for e in EXAMPLES}
    for found in about["progress"]:
        own = [row for row in rows if row.step == found["step"]]
        assert found["n"] == len(own) == len(EXAMPLES)
        assert found["kl"] == pytest.approx(sum(row.kl for row in own) / len(own))
        expected = second.pair_logits([(by_id[row.id].source, row.text) for row in own])[:, 0].mean()
        assert found["reward_second"] == pytest.approx(expected, abs=1e-5)
        assert found["reward_rm"] == pytest.approx(found["followed"], abs=1e-4)
        assert "kl_start" not in found and 0 <= found["rouge1"] <= 1
    assert about["progress"][0]["kl"] == pytest.approx(0, abs=1e-5)
    pairs = storage.read_object(paths.signatures_path("by-pairs"))
    ranked = storage.read_rows(paths.preferences_path("own", "train"), Ranking)
    assert pairs["samples"] == sum(len(ranking.summaries) for ranking in ranked)
    assert [row["step"] for row in pairs["progress"]] == [0.0, 2.0, 3.0]
    assert all("followed" not in row and {"kl", "rouge1", "reward_rm"} <= set(row) for row in pairs["progress"])
    assert "progress" not in storage.read_object(paths.signatures_path("baseline"))
    assert scoring.progress(config.parse(run), scoring.contexts(config.parse(run), "baseline", "cpu")[0]) == []


@pytest.mark.parametrize(
    ("blocks", "followed", "judge"),
    [
        ({"variant": {"learns_from": "models/rm"}}, {"reward_rm"}, "reward_second"),
        ({"preferences": {"learns_from": "models/rm"}}, {"reward_rm"}, "reward_second"),
        ({"preferences": {"reward": {"metric": "rouge1"}}}, {"rouge1"}, "reward_second"),
        ({"preferences": {"reward": {"metric": "rouge1"}}, "judged": False}, {"rouge1"}, None),
        ({"preferences": {"source": "damaged"}, "judged": False}, set(), "rouge1"),
        ({"preferences": {"reward": {"metric": "rouge1"}}, "rm": "preferences/own"}, {"rouge1", "reward_rm"}, "reward_second"),
        ({"preferences": {"reward": {"metric": "rouge1", "also": {"rouge2": 0.5}}}}, {"rouge1", "rouge2"}, "reward_second"),
        ({"variant": {"learns_from": "models/rm", "reward": {"also": {"rouge1": 1.0}}}}, {"reward_rm", "rouge1"}, "reward_second"),
        (
            {"variant": {"learns_from": "models/rm", "reward": {"also": {"reward.nothate": 1.0}}}},
            {"reward_rm", "reward", "toxicity_reward"},
            "reward_second",
        ),
        ({"preferences": {"learns_from": "models/reward"}}, {"reward", "toxicity_reward"}, "toxicity_judge"),
        ({"preferences": {"source": "damaged"}}, set(), "reward_second"),
        ({"preferences": {"source": "constitution", "learns_from": "models/base", "principles": ["Be short."]}}, set(), "reward_second"),
    ],
)  # fmt: skip
def test_what_a_variant_followed_is_no_judge_of_it(
    blocks: dict[str, Any], followed: set[str], judge: str | None, workdir: Path
) -> None:
    """Whoever ranked its preferences, and every part of a reward, counts as followed."""
    raw = study()
    own = {"source": "damaged", "init": "base", "learns_from": "data/train.jsonl"}
    if "preferences" in blocks:
        own |= {"source": "sampled"} | blocks["preferences"]
    raw["preferences"] = {"own": own, "given": {"source": "damaged", "init": "base", "learns_from": "data/train.jsonl"}}
    raw["rewards"]["rm"] |= {"learns_from": blocks.get("rm", "preferences/given"), "tested_on": "preferences/given"}
    given = blocks.get("variant", {"learns_from": "preferences/own"})
    raw["variants"] = {"dpo": {"method": "dpo", "init": "base", "optim": OPTIM} | given}
    raw["metrics"]["toxicity"] = {
        "reward_label": "nothate",
        "classifiers": {name: {"checkpoint": name, "toxic": "hate"} for name in ("reward", "judge")},
    }
    if not blocks.get("judged", True):
        del raw["metrics"]["reward_model"]
    params = config.parse(raw)
    columns = {
        key: column
        for name, block in params.metrics.items()
        for key, column in metrics.find(name).columns(block).items()
    }
    none = stats.Rows(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0, int))
    scores = SystemScores([], dict.fromkeys(columns, none), {})
    found = Study(params, [], columns, {}, {"dpo": scores}, {}, {}, {}, [])
    assert set(found.rewards_of("dpo")) == followed
    assert found.judge_of("dpo") == judge


@pytest.mark.parametrize(
    ("part", "name", "change", "said"),
    [
        ("preferences", "own", {"source": "sample"}, r"preferences\.own: there is no preferences source 'sample'"),
        ("preferences", "own", {"init": "judge"}, r"preferences\.own\.init: no model 'judge' writes"),
        ("preferences", "own", {"reward": {"metric": "facts"}}, r"own\.reward\.metric: only the dataset 'miniature'"),
        ("preferences", "own", {"reward": {}}, r"preferences\.own\.learns_from: source 'sampled' follows a classifier"),
        (
            "preferences",
            "own",
            {"reward": {"metric": "bleu"}},
            r"own\.reward: Value error, 'metric' is 'bleu'; name one of",
        ),
        ("preferences", "own", {"reward": {"metric": "rouge1", "label": "x"}}, "give one of them"),
        ("preferences", "given", {"learns_from": "/tmp/x"}, r"given\.learns_from: '/tmp/x' must lie below the project"),
        ("preferences", "Own", {"source": "damaged", "init": "base"}, r"preferences\.Own"),
        ("rewards", "rm", {"form": "heads"}, r"rewards\.rm: there is no reward model 'heads'.*did you mean 'head'"),
        ("rewards", "rm", {"init": "judge"}, r"rewards\.rm\.init: there is no 'judge' to start from"),
        ("rewards", "rm", {"learns_from": "preferences/owm"}, r"rm\.learns_from: .* did you mean 'preferences/own'"),
        ("rewards", "rm", {"init": "grpo"}, r"a cycle \((rm -> grpo -> rm|grpo -> rm -> grpo)\)"),
        ("rewards", "ppo", {}, r"rewards\.ppo: a variant has this name too"),
        ("variants", "grpo", {"learns_from": "models/judge"}, r"grpo\.learns_from: training must never see the judge"),
        ("variants", "grpo", {"reward": {"label": "good"}}, r"grpo\.reward\.label: a reward model has one logit"),
        (
            "variants",
            "grpo",
            {"reward": {"also": {"judge.hate": 1.0}}},
            r"grpo\.reward\.also\.judge\.hate: training must",
        ),
        ("variants", "grpo", {"reward": {"also": {"bleu": 1.0}}}, r"'also' has 'bleu'; name rouge1"),
        (
            "variants",
            "grpo",
            {"learns_from": "preferences/own"},
            r"grpo\.learns_from: method 'grpo' follows a classifier",
        ),
        (
            "variants",
            "grpo",
            {"batch_size": 10, "minibatch_size": 5},
            r"'batch_size' 10 is not a multiple of 'group_size' 4",
        ),
        ("variants", "by-rouge", {"learns_from": "models/rm"}, r"by-rouge\.learns_from: the reward 'rouge1' goes by"),
        (
            "metrics",
            "reward_model",
            {"followed": ["rmm"]},
            r"followed\.0: there is no reward model 'rmm'; did you mean",
        ),
        ("metrics", "reward_model", {"followed": ["second"]}, r"name the reward models, each once"),
    ],
)
def test_what_does_not_fit_is_said_at_once(
    part: str, name: str, change: dict[str, Any], said: str, workdir: Path
) -> None:
    raw = study()
    raw[part] = raw[part] | {name: raw[part].get(name, raw[part].get("own", raw[part].get("rm"))) | change}
    with pytest.raises(UserError, match=said):
        config.parse(raw)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"source": "s", "chosen": "a"}], r"given\.jsonl line 1: there is no column 'rejected'"),
        (
            [{"source": "s", "chosen": "a", "rejected": "b"}],
            r"preferences\.given: none of the 1 rankings gives a pair of the",
        ),
    ],
)
def test_a_file_of_judgements_is_read_before_anything_is_trained(
    workdir: Path, rows: list[dict[str, str]], said: str
) -> None:
    Path("given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=said):
        preflight.check_preferences(config.parse(study()))
    Path("given.jsonl").unlink()
    with pytest.raises(UserError, match=r"given\.jsonl does not exist"):
        preflight.check_preferences(config.parse(study()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": "classifier"}, r"rewards\.second\.init: 'base' is an encoder-decoder; write form: head or log_ratio"),
        ({"adapter": {"type": "LORA", "target_modules": ["no_such"]}}, r"adapter: peft refuses this LORA block"),
        ({"init": "reward"}, r"models/reward: 'bert' is neither an encoder-decoder nor a decoder-only model"),
    ],
)
def test_a_form_that_does_not_fit_is_found_before_anything_is_trained(
    tiny_base: Path, tiny_reward: Path, change: dict[str, Any], said: str
) -> None:
    raw = study()
    raw["rewards"]["second"] |= change
    with pytest.raises(UserError, match=said):
        preflight.check_reward_models(config.parse(raw), EXAMPLES)


def test_studies_without_preferences_are_as_before(workdir: Path) -> None:
    raw = study(preferences={}, rewards={})
    raw["variants"] = {"baseline": raw["variants"]["baseline"]}
    raw["metrics"] = {"rouge": {}}
    params = config.parse(raw)
    assert params.preferences == params.rewards == {}
    del raw["preferences"], raw["rewards"]
    assert config.parse(raw) == params
