"""A wrong params file is one sentence that names file, field and fix. Every study in the repository is right."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config
from bench.schema import UserError

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_is_right_and_named_after_its_file(path: Path) -> None:
    assert config.read(path).study == path.stem


def test_the_active_study_is_the_hermetic_one() -> None:
    assert (ROOT / "params.yaml").read_text() == (ROOT / "studies" / "miniature.yaml").read_text()


@pytest.fixture
def raw() -> dict[str, Any]:
    return copy.deepcopy(YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text()))


def change(raw: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".")
    for key in way:
        raw = raw[key]
    if value is None:
        del raw[last]
    else:
        raw[last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("variants.lora.optim.learning_rat", 1, "variants.lora.optim.learning_rat: unknown key; did you mean 'learning_rate'"),
        ("variants.ppo.reward.capp", 1, "variants.ppo.reward.capp: unknown key; did you mean 'cap'"),
        ("variantz", {}, "variantz: unknown key; did you mean 'variants'"),
        ("variants.lora.optim.learning_rate", "fast", "variants.lora.optim.learning_rate"),
        ("variants.lora.optim.learning_rate", -1, "greater than 0"),
        ("variants.lora.optim.epochs", 2, "either 'steps' or 'epochs'"),
        ("variants.lora.method", "stf", "did you mean 'sft'"),
        ("variants.lora.method", None, "variants.lora.method: missing"),
        ("variants.ppo.init", "ful", "there is no 'ful'; did you mean 'full'"),
        ("variants.full.init", "ppo", "a cycle"),
        ("variants.ppo.learns_from", "models/judge", "training must never see the judge"),
        ("checkpoints.judge", {"source": "miniature_classifier", "role": "reward", "seed": 0}, "training must never see the judge"),
        ("variants.ppo.learns_from", "data/train.jsonl", "follows a classifier"),
        ("variants.full.learns_from", "models/reward", "imitates references"),
        ("variants.base", {"method": "none", "init": "reward", "learns_from": "models/base"}, "a checkpoint has this name too"),
        ("variants.Full Tune", {"method": "none", "init": "base", "learns_from": "models/base"}, "lower-case"),
        ("variants.human", {"method": "none", "init": "base", "learns_from": "models/base"}, "reserved"),
        ("variants.ppo.minibatch_size", 5, "not a multiple"),
        ("checkpoints.judge", None, "checkpoints.judge: missing"),
        ("metrics.rogue", {}, "did you mean 'rouge'"),
        ("study", "../other", "study"),
        ("data.dataset", "minature", "did you mean 'miniature'"),
        ("compute.threads", 0, "compute.threads"),
        ("gate", {"metrics": {"rouge1": {"bettr": "higher"}}}, "gate.metrics.rouge1.bettr: unknown key; did you mean 'better'"),
        ("metrics.toxicity", {"classifiers": {"judge": {"chekpoint": "judge"}}}, "did you mean 'checkpoint'"),
        ("variants.full.seeds", [0], "variants.full.seeds: give at least two seeds, each once, got [0]; for one write 'seed'"),
        ("variants.full.seeds", [1, 1], "give at least two seeds, each once, got [1, 1]"),
        ("variants.full", {"method": "sft", "init": "base", "learns_from": "data/train.jsonl", "seed": 1, "seeds": [0, 1],
                           "optim": {"learning_rate": 1, "steps": 1}}, "variants.full.seeds: 'seed' is given too; keep one"),
        ("variants.baseline.seeds", [0, 1], "variants.baseline.seeds: method 'none' trains nothing"),
        ("variants.full.seeds", ["a", 1], "variants.full.seeds.0"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_the_fix(raw: dict[str, Any], path: str, value: Any, said: str) -> None:
    change(raw, path, value)
    with pytest.raises(UserError) as caught:
        config.parse(raw)
    message = str(caught.value)
    assert said in message and message.startswith("params.yaml: ") and "\n" not in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"variants: [", "not valid YAML"),
        (b"- a\n", "mapping"),
        (b"\xff\xfe", "UTF-8"),
        (None, "does not exist"),
        (b"", "mapping"),
    ],
)
def test_an_unreadable_file_is_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        config.read(path)
    assert "\n" not in str(caught.value)


def test_scientific_notation_is_a_number_as_it_is_to_dvc(raw: dict[str, Any]) -> None:
    assert config.parse(raw).variants["full"].optim.learning_rate == 1e-3  # type: ignore[attr-defined]


def test_a_variant_is_trained_once_or_with_each_of_its_seeds(raw: dict[str, Any]) -> None:
    raw["seed"] = 3
    raw["variants"]["lora"]["seed"] = 5
    raw["variants"]["dpo"]["seeds"] = [7, 0]
    params = config.parse(raw)
    assert params.trainings_of("full") == [("full", 3, None)]
    assert params.trainings_of("lora") == [("lora", 5, None)]
    assert params.trainings_of("dpo") == [("dpo", 7, 7), ("dpo/seed-0", 0, 0)]
