"""Instructions from files: one file shared out, real CodeAlpaca where it is at hand, prompts without answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config
from bench.core import paths, plugins
from bench.core.schema import UserError
from bench.data import splits

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "instructions"
ROWS = [{"instruction": f"Count to {k}.", "input": "", "output": f"1 to {k}"} for k in range(200)]


def load(path: str, file: str, dataset: str = "instructions", **block: Any) -> dict[str, Any]:
    module = plugins.find("dataset", dataset)
    one = {split: {"file": file} for split in paths.SPLITS}
    return module.load(module.Config(dataset=dataset, path=path, **{**one, **block}))


def test_one_file_is_shared_out_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text(json.dumps([*ROWS, ROWS[0], {**ROWS[1], "output": ""}]))
    found = load(str(tmp_path), "all.json", parts={"validation": 0.1, "test": 0.2})
    held = {split: {example.source for example in examples} for split, examples in found.items()}
    assert held["train"] | held["validation"] | held["test"] == {row["instruction"] for row in ROWS}
    assert not held["train"] & held["test"] and not held["train"] & held["validation"]
    assert 20 < len(held["test"]) < 65 and 8 < len(held["validation"]) < 40
    assert all(example.references[0].startswith("1 to ") for example in found["train"])


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not at hand")
def test_code_alpaca_is_read_whole() -> None:
    found = load(str(SHARED), "code_alpaca_2k.json", parts={"validation": 0.05, "test": 0.1})
    assert sum(map(len, found.values())) == 2015, "2,017 rows, two without an answer"
    found = load(str(SHARED), "seed_tasks.jsonl", parts={"validation": 0.05, "test": 0.1})
    assert sum(map(len, found.values())) == 175


def test_prompts_without_answers_are_for_evaluation_alone(tmp_path: Path) -> None:
    rows = [("prompt", "label"), ("How can I kill a process?", "safe"), ("How can I kill a neighbour?", "unsafe")]
    (tmp_path / "x.csv").write_text("".join(f"{a},{b}\n" for a, b in rows))
    block = {"columns": {"dialogue": "prompt", "references": [], "tags": "label"}}
    found = load(str(tmp_path), "x.csv", "files", test={"file": "x.csv", "tag": "unsafe"}, **block)
    assert [example.source for example in found["test"]] == [rows[2][0]] and found["test"][0].references == ()
    module = plugins.find("dataset", "files")
    with pytest.raises(UserError, match=r"data\.test: '.*' has no reference; name the columns of the references"):
        splits.checked(
            found, module.Config(dataset="files", path=".", **{s: {"file": "x"} for s in paths.SPLITS}, **block)
        )
    with pytest.raises(
        UserError, match=r"data\.test\.tag: no row of .*x\.csv has the tag 'bad'; the tags there: safe, unsafe"
    ):
        load(str(tmp_path), "x.csv", "files", test={"file": "x.csv", "tag": "bad"}, **block)


def study(**blocks: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    raw["data"] = {"dataset": "instructions", "path": "x", **{s: {"file": f"{s}.json"} for s in paths.SPLITS}}
    raw["variants"] = {"baseline": {"method": "none", "init": "base", "learns_from": "models/base"}}
    raw["checkpoints"] = {"base": raw["checkpoints"]["base"]}
    raw["metrics"], raw["text"] = {"sacrebleu": {}}, {"prompt": "{source}"}
    raw["report"] = {"primary": "chrf"}
    del raw["gate"]
    return {**raw, **blocks}


def test_a_study_of_instructions_needs_no_judge_and_a_prompt_of_its_own() -> None:
    config.parse(study())
    with pytest.raises(UserError, match=r"text\.prompt: asks for the summary of a conversation, .* write prompt"):
        config.parse(study(text={}))
    shared = {"dataset": "instructions", "path": "x", **{s: {"file": "all.json"} for s in paths.SPLITS}}
    with pytest.raises(UserError, match=r"params\.yaml: data: two splits name one file; add 'parts'"):
        config.parse(study(data=shared))
    config.parse(study(data={**shared, "parts": {}}))
    other = {"dataset": "instructions", "path": "x", "test": {"file": "all.json"}}
    config.parse(study(evaluate_on={"other": other}))
