"""The gate knows every stage that dvc.yaml runs for each of something: a study of any kind can be judged."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench.compare import dvc_lock
from tests.project import ROOT

PREFERENCES = {"source": "damaged", "init": "base", "learns_from": "data/train.jsonl"}
OPTIM = {"learning_rate": 1e-3, "steps": 4}
BLOCKS: dict[str, Any] = {
    "preferences": {"damaged": PREFERENCES},
    "rewards": {
        "rm": {
            "form": "head",
            "init": "base",
            "learns_from": "preferences/damaged",
            "tested_on": "preferences/damaged",
            "optim": OPTIM,
        }
    },
    "training_sets": {"best": {"source": "chosen", "init": "base", "learns_from": "preferences/damaged"}},
    "evaluate_on": {"other": {"dataset": "miniature", "seed": 1}},
}


def test_each_is_about_what_dvc_says() -> None:
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    each = {
        name: re.fullmatch(r"\$\{(\w+)\}", str(block["foreach"]))
        for name, block in stages.items()
        if "foreach" in block
    }
    assert len(each) > 6 and all(each.values())
    assert {name: dvc_lock.FOREACH.get(name, "variants") for name in each} == {
        name: found[1] for name, found in each.items() if found
    }


@pytest.mark.parametrize("part", BLOCKS)
def test_a_study_with_any_block_is_judged(project: Any, bench: Any, part: str) -> None:
    needed = BLOCKS if part in ("rewards", "training_sets") else {part: BLOCKS[part]}
    project.params |= needed
    project.write()
    project.commit()
    code, out, err = bench("gate", "--against", "HEAD")
    assert code == 0, out + err
    assert "gate: PASS" in out


def test_what_was_removed_from_the_study_leaves_its_stage_unasked(project: Any, bench: Any) -> None:
    project.params["preferences"] = {"damaged": PREFERENCES}
    project.write()
    lock = (project.root / "dvc.lock").read_text()
    assert "preferences@damaged" in lock
    stale = YAML(typ="safe", pure=True).load(lock)["stages"]["preferences@damaged"]
    del project.params["preferences"]
    project.write()
    with (project.root / "dvc.lock").open() as file:
        whole = YAML(typ="safe", pure=True).load(file)
    whole["stages"]["preferences@damaged"] = stale
    with (project.root / "dvc.lock").open("w") as file:
        YAML().dump(whole, file)
    project.commit()
    assert bench("gate", "--against", "HEAD")[0] == 0
