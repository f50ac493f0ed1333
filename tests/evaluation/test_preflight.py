"""Labels, adapters and lengths are looked at before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config
from bench.core import parameters, paths
from bench.core.schema import Example, Lengths, UserError
from bench.evaluation import preflight
from tests.lm import families

ROOT = Path(__file__).resolve().parents[2]
SPLITS = {
    split: [
        Example(id=str(k), dialogue_id=str(k), source=source, references=(summary,))
        for k, (source, summary) in enumerate(rows)
    ]
    for split, rows in {
        "train": [("a b c", "a"), ("a b c d e f g h i j", "a b c d")],
        "validation": [("hello", "a b")],
        "test": [("a " * 40, "a")],
    }.items()
}

PPO = {"method": "ppo", "init": "full", "learns_from": "models/reward"}
DPO = PPO | {"method": "dpo", "optim": {"learning_rate": 1e-4, "epochs": 1}}


@pytest.fixture
def params(tiny_base: Path, tiny_reward: Path) -> parameters.Params:
    return parsed()


def parsed(**changes: Any) -> parameters.Params:
    """The hermetic study with blocks changed, for a base that reads 12 tokens and writes 4."""
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    raw["text"] = {"prompt": "Summarize {source}", "max_source_tokens": 12, "max_target_tokens": 4}
    raw["variants"]["lora"]["adapter"] = {"type": "LORA", "r": 2, "target_modules": ["q", "v"]}
    raw["metrics"]["toxicity"]["classifiers"]["judge"]["checkpoint"] = "reward"  # one classifier serves as both
    for name, block in changes.items():
        raw[name] |= block
    return config.parse(raw)


def test_a_right_study_passes_and_lengths_are_counted(params: parameters.Params) -> None:
    preflight.check_classifiers(params)
    # `Summarize` and the end-of-sequence token leave room for 10 of 12; a target of 4 for 3 words and that token.
    assert preflight.check_starts(params, SPLITS) == {
        "base": {
            "train": Lengths(rows=2, sources_cut=0, references_cut=1),
            "validation": Lengths(rows=1, sources_cut=0, references_cut=0),
            "test": Lengths(rows=1, sources_cut=1, references_cut=0),
        }
    }


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        (
            {"classifiers": {"judge": {"checkpoint": "reward", "toxic": "profane"}}},
            "metrics.toxicity.classifiers.judge",
        ),
        (
            {"classifiers": {"reward": {"checkpoint": "reward"}}, "reward_label": "kind"},
            "metrics.toxicity.reward_label",
        ),
    ],
)
def test_a_label_of_a_metric_that_the_classifier_lacks_is_named(
    params: parameters.Params, metric: dict[str, Any], field: str
) -> None:
    with pytest.raises(
        UserError, match=rf"params\.yaml: {field}: checkpoint 'reward' has no label .*: nothate, hate\."
    ):
        preflight.check_classifiers(parsed(metrics={"toxicity": metric}))


def test_a_rewarded_label_that_the_classifier_lacks_is_named(params: parameters.Params) -> None:
    raw = {"method": "ppo", "init": "base", "learns_from": "models/reward", "reward": {"label": "kind"}}
    with pytest.raises(UserError, match=r"variants\.ppo\.reward\.label: checkpoint 'reward' has no label 'kind'"):
        preflight.check_classifiers(parsed(variants={"ppo": raw}))


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ({"type": "LORRA"}, r"variants\.lora\.adapter\.type: peft has no 'LORRA'"),
        ({"type": "LORA", "target_modules": ["zzz"]}, r"variants\.lora\.adapter: peft refuses this LORA block: .*zzz"),
        ({"type": "LORA", "rank": 4}, r"variants\.lora\.adapter: peft refuses this LORA block: .*rank"),
        ({"type": "LORA", "r": 0, "target_modules": ["q"]}, "peft refuses this LORA block"),
        ({"type": "LORA", "r": "4", "target_modules": ["q"]}, "peft refuses this LORA block"),
        ({"type": "LORA", "target_modules": 5}, "peft refuses this LORA block"),
        (
            {
                "type": "PROMPT_TUNING",
                "num_virtual_tokens": 2,
                "prompt_tuning_init": "TEXT",
                "prompt_tuning_init_text": "a",
                "tokenizer_name_or_path": "stranger/model",
                "tokenizer_kwargs": {"trust_remote_code": True},
            },
            "adapter.tokenizer_name_or_path: peft would fetch or run what it names",
        ),
        ({"type": "XLORA", "adapters": {"0": "stranger/adapter"}}, "adapter.adapters: peft would fetch or run"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(params: parameters.Params, adapter: dict[str, Any], said: str) -> None:
    lora = {
        "method": "sft",
        "init": "base",
        "learns_from": "data/train.jsonl",
        "adapter": adapter,
        "optim": {"learning_rate": 1e-3, "steps": 1},
    }
    with pytest.raises(UserError, match=said):
        preflight.check_starts(parsed(variants={"lora": lora}), SPLITS)


def test_a_prompt_that_leaves_no_room_is_named(params: parameters.Params) -> None:
    with pytest.raises(UserError, match=r"text\.max_source_tokens .*: 8 tokens do not hold the prompt alone"):
        preflight.check_starts(parsed(text={"prompt": "a b c d e f g h i j {source}", "max_source_tokens": 8}), SPLITS)


def test_a_start_that_writes_nothing_is_named(params: parameters.Params) -> None:
    for path in paths.model_path("base").iterdir():
        path.unlink()
    for path in paths.model_path("reward").iterdir():
        (paths.model_path("base") / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="models/base: 'bert' is neither an encoder-decoder nor a decoder-only model"):
        preflight.check_starts(parsed(), SPLITS)


def test_a_prompt_and_a_summary_beyond_a_decoder_s_positions_are_named(tiny_decoder: Path, tiny_reward: Path) -> None:
    study = parsed(text={"max_source_tokens": 500}, generation={"max_new_tokens": 13})
    with pytest.raises(UserError, match="500 tokens of a prompt and 13 of a summary are more than the 512"):
        preflight.check_starts(study, SPLITS)


def test_tags_of_prompts_and_pairs_are_some_dialogues(tiny_base: Path, tiny_reward: Path) -> None:
    def tagged(*tags: str) -> dict[str, list[Example]]:
        return {split: [row.model_copy(update={"tags": tags}) for row in rows] for split, rows in SPLITS.items()}

    given = parsed(variants={"ppo": PPO | {"tag": "heated"}})
    preflight.check_tags(given, tagged("heated", "other"))
    with pytest.raises(
        UserError, match=r"variants\.ppo\.tag: no dialogue of data/train\.jsonl .* 'heated'; write one of: other"
    ):
        preflight.check_tags(given, tagged("other"))
    given = parsed(variants={"dpo": DPO | {"pairs": {"tag": "heated"}}})
    with pytest.raises(UserError, match=r"variants\.dpo\.pairs\.tag: .* 'heated'; declare it in data\.tags"):
        preflight.check_tags(given, SPLITS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({"max_source_tokens": 200}, r"text\.max_source_tokens: 200 tokens of a prompt are more than the 128"),
        ({"max_target_tokens": 130}, r"text\.max_target_tokens: 130 tokens of a summary are more than the 128"),
    ],
)
def test_each_side_of_an_encoder_decoder_has_its_own_positions(
    text: dict[str, int], said: str, workdir: Path, reward_template: Path
) -> None:
    families.seq2seq("bart", paths.model_path("base"))
    shutil.copytree(reward_template, paths.model_path("reward"))
    with pytest.raises(UserError, match=rf"params\.yaml: {said} that models/base has positions for; lower it"):
        preflight.check_starts(parsed(text={"max_source_tokens": 12} | text), SPLITS)
