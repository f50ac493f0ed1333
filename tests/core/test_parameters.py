"""A wrong params file is one sentence that names file, field and fix. Every study in the repository is right."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config
from bench.core.schema import UserError

ROOT = Path(__file__).resolve().parents[2]
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
        (
            "variants.lora.optim.learning_rat",
            1,
            "variants.lora.optim.learning_rat: unknown key; did you mean 'learning_rate'",
        ),
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
        (
            "checkpoints.judge",
            {"source": "miniature_classifier", "role": "reward", "seed": 0},
            "training must never see the judge",
        ),
        ("variants.ppo.learns_from", "data/train.jsonl", "follows a classifier"),
        ("variants.full.learns_from", "models/reward", "imitates references"),
        (
            "variants.base",
            {"method": "none", "init": "reward", "learns_from": "models/base"},
            "a checkpoint has this name too",
        ),
        ("variants.Full Tune", {"method": "none", "init": "base", "learns_from": "models/base"}, "lower-case"),
        ("variants.human", {"method": "none", "init": "base", "learns_from": "models/base"}, "reserved"),
        ("variants.ppo.minibatch_size", 5, "not a multiple"),
        ("checkpoints.judge", None, "checkpoints.judge: missing"),
        ("metrics.rogue", {}, "did you mean 'rouge'"),
        ("study", "../other", "study"),
        ("data.dataset", "minature", "did you mean 'miniature'"),
        ("data.dataset", "../datasets/miniature", "there is no dataset"),
        ("checkpoints.judge.source", "miniature-classifier", "did you mean 'miniature_classifier'"),
        ("compute.threads", 0, "compute.threads"),
        (
            "gate",
            {"metrics": {"rouge1": {"bettr": "higher"}}},
            "gate.metrics.rouge1.bettr: unknown key; did you mean 'better'",
        ),
        ("metrics.toxicity", {"classifiers": {"judge": {"chekpoint": "judge"}}}, "did you mean 'checkpoint'"),
        (
            "variants.full.seeds",
            [0],
            "variants.full.seeds: give at least two seeds, each once, got [0]; for one write 'seed'",
        ),
        ("variants.full.seeds", [1, 1], "give at least two seeds, each once, got [1, 1]"),
        (
            "variants.full",
            {
                "method": "sft",
                "init": "base",
                "learns_from": "data/train.jsonl",
                "seed": 1,
                "seeds": [0, 1],
                "optim": {"learning_rate": 1, "steps": 1},
            },
            "variants.full.seeds: 'seed' is given too; keep one",
        ),
        ("variants.baseline.seeds", [0, 1], "variants.baseline.seeds: method 'none' trains nothing"),
        ("variants.full.seeds", ["a", 1], "variants.full.seeds.0"),
        ("compute.threads", 10**6, "less than or equal to 1024"),
        ("compute.threads", True, "valid integer, got True"),
        ("compute.precision", "float16", "exceed float16's largest number, 65,504; write 'bfloat16'"),
        ("compute.precision", "float64", "compute.precision"),
        ("variants.lora.optim.batch_size", "16", "valid integer, got '16'"),
        ("variants.lora.optim.learning_rate", float("inf"), "finite number"),
        ("variants.lora.optim.learning_rate", float("nan"), "finite number"),
        ("seed", -1, "seed: Input should be greater than or equal to 0"),
        ("generation.seed", 2**63, "generation.seed"),
        ("text.prompt", "Summarise.", "text.prompt: Value error, must say once where the dialogue stands"),
        ("text.prompt", "{source} {source}", "must say once"),
        ("checkpoints.judge", None, "checkpoints.judge: missing; variants.ppo follows a classifier"),
        ("checkpoints.reward", None, "add one to checkpoints, such as checkpoints.reward"),
        ("checkpoints.base", None, "checkpoints.base: missing; every study has a base model"),
        ("variants.yardsticks", {"method": "none", "init": "base", "learns_from": "models/base"}, "reserved"),
        ("variants." + "a" * 65, {"method": "none", "init": "base", "learns_from": "models/base"}, "at most 64"),
        ("study", "a" * 65, "at most 64"),
        ("variants.baseline.learns_from", "https://host/x", "learns nothing; write 'models/base'"),
        ("variants.baseline.learns_from", "../../etc/passwd", "learns nothing; write 'models/base'"),
        ("variants.full.init", "judge", "'judge' is a classifier; start from 'base'"),
        ("variants.full.examples", 0, "variants.full.examples"),
        ("report.primary", "rouge9", "no metric has a column 'rouge9'; did you mean 'rouge"),
        (
            "metrics.toxicity.classifiers.judge.checkpoint",
            "jugde",
            "there is no checkpoint 'jugde'; did you mean 'judge'",
        ),
        ("metrics.toxicity.reward_label", "hate", "is the toxic label"),
        ("metrics.toxicity.classifiers.=x", {"checkpoint": "judge"}, "String should match pattern"),
        ("variants.lo\nra\x1b[31m", {"method": "none"}, "variants.lo ra"),
    ],
)
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
        (b"seed: 2020-13-45", "not valid YAML: month must be in 1..12"),
        (b"seed: !!int abc", "not valid YAML"),
        (b"x: " + b"[" * 5000, "nested too deeply"),
        (b'about: "\\uD83D"', "is half a character"),
        (b'about: "\\U0000dc00"', "is half a character"),
        (b"seed: " + b"9" * 5000, "not valid YAML"),
        (b"seed: 0x" + b"f" * 5000, "data.dataset: missing"),
        (b"study: !!python/object/apply:os.system [id]", "not valid YAML: could not determine a constructor"),
    ],
)
def test_an_unreadable_file_is_one_sentence(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        config.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["variants", "checkpoints", "metrics"])
@pytest.mark.parametrize("key", [1, True, None, 1.5])
def test_a_name_that_yaml_reads_as_something_else_is_to_be_quoted(raw: dict[str, Any], part: str, key: Any) -> None:
    raw[part][key] = next(iter(raw[part].values()))
    with pytest.raises(UserError, match=f"params.yaml: {part}.{key}: a name must be text, .*; quote it"):
        config.parse(raw)


def test_a_number_too_long_to_print_is_one_sentence(raw: dict[str, Any]) -> None:
    raw["generation"]["max_new_tokens"] = 16**5000  # YAML's hexadecimal numbers have no limit
    with pytest.raises(UserError, match="generation.max_new_tokens: .* got int that cannot be shown"):
        config.parse(raw)


def test_the_labels_that_a_study_counts_on(raw: dict[str, Any]) -> None:
    assert config.parse(raw).labels == {
        "metrics.toxicity.classifiers.reward": ("reward", "hate"),
        "metrics.toxicity.classifiers.judge": ("judge", "hate"),
        "metrics.toxicity.reward_label": ("reward", "nothate"),
        "variants.ppo.reward.label": ("reward", "nothate"),
        "variants.dpo.reward.label": ("reward", "nothate"),
    }


def test_an_unknown_variant_or_checkpoint_is_one_sentence(raw: dict[str, Any]) -> None:
    params = config.parse(raw)
    assert (params.root_of("ppo"), params.start_of("ppo")) == ("base", "full")
    for ask in (params.variant, params.trainings_of, params.start_of, params.root_of):
        with pytest.raises(UserError, match="variants: there is no 'lorra'; did you mean 'lora'"):
            ask("lorra")
    with pytest.raises(UserError, match="checkpoints: there is no 'bas'; did you mean 'base'"):
        params.checkpoint("bas")


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        config.read(tmp_path / "params.yaml")


def test_scientific_notation_is_a_number_as_it_is_to_dvc(raw: dict[str, Any]) -> None:
    change(raw, "variants.full.optim.learning_rate", YAML(typ="safe", pure=True).load("1e-3"))
    assert config.parse(raw).variants["full"].optim.learning_rate == 1e-3  # type: ignore[attr-defined]


def test_a_variant_is_trained_once_or_with_each_of_its_seeds(raw: dict[str, Any]) -> None:
    raw["seed"] = 3
    raw["variants"]["lora"]["seed"] = 5
    raw["variants"]["dpo"]["seeds"] = [7, 0]
    params = config.parse(raw)
    assert params.trainings_of("full") == [("full", 3, None)]
    assert params.trainings_of("lora") == [("lora", 5, None)]
    assert params.trainings_of("dpo") == [("dpo", 7, 7), ("dpo/seed-0", 0, 0)]
