"""An advice that is followed works: the fix of one message meets no second refusal of the same thing."""

from __future__ import annotations

import copy
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from bench import config
from bench.config import sources
from bench.core import costs, paths, storage
from bench.core.blocks import DecodingConfig, TextConfig
from bench.core.schema import Example, UserError
from bench.data import splits
from bench.data.files import FilesConfig
from tests.project import ROOT

OTHER = {"method": "outputs", "init": "base", "learns_from": "local/bart.txt"}
OPTIM = {"learning_rate": 1e-3, "steps": 4}


def study() -> dict[str, Any]:
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    return copy.deepcopy(raw)


def said(raw: dict[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        config.parse(raw)
    return str(error.value)


def test_starts_that_are_offered_can_be_started_from(workdir: Path) -> None:
    Path("local").mkdir()
    Path("local/bart.txt").write_text("a\n")
    raw = study()
    raw["variants"]["bart"] = OTHER
    raw["variants"]["four"] = {"method": "best_of", "init": "full", "learns_from": "models/reward", "n": 4}
    raw["variants"]["lora"]["init"] = "zzz"
    message = said(raw)
    offered = message.rpartition("known: ")[2].rstrip(".").split(", ")
    assert {"base", "baseline", "full"} <= set(offered) and not {"reward", "judge", "bart", "four"} & set(offered)
    raw["variants"]["lora"]["init"] = "rewrd"
    assert "did you mean 'reward'" not in said(raw)


@pytest.mark.parametrize("model", ["bart", "four"])
@pytest.mark.parametrize("part", ["preferences", "judge", "training_sets", "rewards"])
def test_what_has_no_model_of_its_own_is_refused_everywhere(workdir: Path, part: str, model: str) -> None:
    Path("local").mkdir()
    Path("local/bart.txt").write_text("a\n")
    raw = study()
    raw["variants"]["bart"] = OTHER
    raw["variants"]["four"] = {"method": "best_of", "init": "full", "learns_from": "models/reward", "n": 4}
    own = {"source": "damaged", "init": "base", "learns_from": "data/train.jsonl"}
    raw["preferences"] = {"own": own}
    if part == "preferences":
        own["init"] = model
    elif part == "judge":
        own |= {"source": "constitution", "learns_from": f"models/{model}", "principles": ["Be short."]}
    elif part == "training_sets":
        raw["training_sets"] = {"best": {"source": "chosen", "init": model, "learns_from": "preferences/own"}}
    else:
        raw["rewards"] = {
            "rm": {"form": "head", "init": model, "learns_from": "preferences/own", "tested_on": "preferences/own", "optim": OPTIM}
        }  # fmt: skip
    message = said(raw)
    _, offered = re.fullmatch(r"(.*)(?:known: |write one of: )(.*)", message).groups()  # type: ignore[union-attr]
    assert "full" in offered and not {"bart", "four"} & set(re.findall(r"[\w-]+", offered))


def test_the_judge_under_another_name_is_not_offered() -> None:
    raw = study()
    raw["checkpoints"]["other"] = dict(raw["checkpoints"]["judge"])
    raw["variants"]["ppo"]["learns_from"] = "models/nobody"
    message = said(raw)
    assert "models/reward" in message and "models/other" not in message and "models/judge" not in message


def test_the_base_is_not_offered_as_a_classifier() -> None:
    raw = study()
    raw["variants"]["ppo"]["reward"]["also"] = {"base.polite": 1.0}
    assert "variants.ppo.reward.also: 'base' writes and has no labels; name one of: reward, judge" in said(raw)
    raw = study()
    del raw["checkpoints"]["reward"], raw["checkpoints"]["judge"]
    del raw["variants"]["ppo"], raw["variants"]["dpo"]
    message = said(raw)
    assert "known: base" not in message and "there is none yet: add one" in message


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"temperature": 0.7, "length_penalty": 2.0}, "remove it"),
        ({"length_penalty": 2.0}, "add 'num_beams'"),
        ({"num_beams": 4, "draws": 2}, "write draws: 1"),
        ({"draws": 2}, "add 'temperature' or 'top_p'"),
    ],
)
def test_a_decoding_s_fix_is_a_decoding(block: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        DecodingConfig(**block)
    followed = {
        "remove it": {k: v for k, v in block.items() if k != "length_penalty"},
        "add 'num_beams'": block | {"num_beams": 4},
        "write draws: 1": block | {"draws": 1},
        "add 'temperature' or 'top_p'": block | {"temperature": 0.7},
    }[expected]
    DecodingConfig(**followed)


def test_a_variant_without_chat_can_be_without_the_study_s_date() -> None:
    with pytest.raises(ValidationError, match="write chat: true, or chat_date: null"):
        TextConfig(chat=False, chat_date=date(2026, 1, 1))
    raw = study()
    raw["text"] |= {"chat": True, "chat_date": date(2026, 1, 1), "chat_options": {"enable_thinking": False}}
    raw["variants"]["plain"] = raw["variants"]["baseline"] | {"text": {"chat": False}}
    assert "write chat: true, or chat_options: {}" in said(copy.deepcopy(raw))
    raw["variants"]["plain"]["text"] |= {"chat_options": {}, "chat_date": None}
    assert config.parse(raw).variants["plain"].text == TextConfig(
        **{key: value for key, value in raw["text"].items() if not key.startswith("chat")}
    )


def test_4_bits_of_what_takes_no_adapter() -> None:
    raw = study()
    raw["variants"]["baseline"]["quantize"] = {}
    assert said(raw).endswith("cannot be trained; remove it.")
    del raw["variants"]["baseline"]["quantize"]
    config.parse(raw)


def test_one_file_for_two_splits() -> None:
    own = {"path": ".", "train": {"file": "a.csv"}, "validation": {"file": "b.csv"}, "test": {"file": "b.csv"}}
    with pytest.raises(ValueError, match="name a file of its own for one of them, or give each a 'tag'"):
        FilesConfig(dataset="files", **own).check_splits()
    with pytest.raises(ValueError, match="name a file of its own for one of them"):
        FilesConfig(dataset="files", parts={"validation": 0.1}, **own).check_splits()
    FilesConfig(dataset="files", **own | {"test": {"file": "c.csv"}}).check_splits()
    FilesConfig(
        dataset="files", **own | {"validation": {"file": "b.csv", "tag": "x"}, "test": {"file": "b.csv", "tag": "y"}}
    ).check_splits()


def test_a_row_that_is_too_long_names_the_block_whose_limit_counts() -> None:
    long = Example(id="e", dialogue_id="e", source="word " * 30, references=("a",))
    limits = FilesConfig(dataset="files", path=".", train={"file": "a"}, validation={"file": "b"}, test={"file": "c"}, max_characters=50)  # fmt: skip
    with pytest.raises(UserError, match=r"evaluate_on\.x\.test: 'e' holds .* evaluate_on\.x\.max_characters allows 50"):
        splits.unseen([long], {}, limits, "evaluate_on.x")


def test_a_broken_note_of_costs_can_be_removed(workdir: Path) -> None:
    path = costs.path_of("score", "full")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(UserError, match="remove it: only times are lost"):
        costs.recorded("score", "full")
    path.unlink()
    assert costs.recorded("score", "full") is None


def test_a_stale_list_of_sources_is_mended_in_both_files(workdir: Path) -> None:
    raw = study()
    raw["sources"] = {"data": "elsewhere"}
    params = config.parse(raw | {"sources": {}})
    object.__setattr__(params, "sources", {"data": "elsewhere"})
    with pytest.raises(UserError, match=r"remove the block, in studies/miniature\.yaml too"):
        sources.check(params)


def test_seeds_of_a_folder_without_a_report(workdir: Path) -> None:
    from bench.compare import seeds

    storage.write_json(paths.REPORTS / "one" / "metrics.json", {"variants": {}})
    with pytest.raises(UserError, match=r"reports/two holds no metrics\.json; name the folder of a report"):
        seeds.load([paths.REPORTS / "one", paths.REPORTS / "two"])


def test_what_is_evaluated_on_is_pinned_too() -> None:
    from bench.commands import pin

    raw = study()
    hub = {"dataset": "dialogsum", "repo": "knkarthick/dialogsum", "test": {"file": "test.csv"}}
    raw["evaluate_on"] = {"other": hub | {"revision": "main"}, "done": hub | {"revision": "0" * 40}}
    params = config.parse(raw)
    assert list(pin.of_the_hub(params)) == ["evaluate_on.other", "evaluate_on.done"]
    assert list(pin.unpinned(params)) == ["evaluate_on.other"]
