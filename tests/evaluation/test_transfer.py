"""What was tuned on one dataset is scored on others: the same numbers as scoring it there would give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config, generation, report
from bench.core import paths, resume, storage
from bench.core.schema import Example, UserError
from bench.evaluation import preflight
from bench.lm import models
from bench.metrics import rouge
from bench.report import plots
from stages import generate, score, train, transfer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [Example(id=f"e{k}", dialogue_id=f"e{k}", source=f"hello {k}", references=("a b c",)) for k in range(6)]
OTHER = [
    {"id": f"s{k}", "dialogue": f"#person1# : {c} hello", "summary": f"{c} meets you"} for k, c in enumerate("abcd")
]
BLOCK = {"dataset": "samsum", "path": "local/samsum", "test": {"file": "test.jsonl"}}


def study(**blocks: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    none = {"method": "none", "init": "base", "learns_from": "models/base"}
    raw["variants"] = {"baseline": none, "again": none}
    raw["generation"] |= {"max_new_tokens": 6, "samples": 1}
    raw["metrics"] = {"rouge": {}, "kl": {}, "text": {}}
    raw["evaluate_on"] = {"samsum": BLOCK}
    del raw["gate"]
    return raw | blocks


@pytest.fixture
def given(tiny_base: Path, tiny_reward: Path) -> dict[str, Any]:
    """A study in the working folder, with its splits and the other dataset's file."""
    raw = study()
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), EXAMPLES)
    write(OTHER)
    return raw


def write(rows: list[dict[str, str]]) -> None:
    Path("local/samsum").mkdir(parents=True, exist_ok=True)
    Path("local/samsum/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_scores_elsewhere_are_those_of_the_summaries_there(given: dict[str, Any], monkeypatch: Any) -> None:
    for stage in (train, generate, score):
        for variant in given["variants"]:
            stage.main(variant)
    transfer.main("samsum")
    params, loaded = config.parse(given), models.load("base", "cpu")
    there = storage.read_split("on/samsum")
    assert [example.source for example in there] == [row["dialogue"] for row in OTHER]
    written = generation.predict(loaded, there, params.text, params.generation)
    expected = rouge.rouge_rows([row.text for row in written], [e.references for e in there], rouge.Config())
    for system in paths.YARDSTICKS:
        storage.write_rows(paths.scores_path(system), [])
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    report.build(params)
    metrics = json.loads((paths.report_dir("miniature") / "metrics.json").read_text())
    entry = metrics["evaluate_on"]["samsum"]["again"]["rouge1"]
    assert entry["value"] == pytest.approx(sum(row["rouge1"] for row in expected) / 4, rel=1e-5)
    assert entry["n"] == 4
    digest = storage.sha256_file(paths.split_path("on/samsum"))[:8]
    assert f"|data:samsum@{digest}|split:test|gen:{generation.VERSION},greedy" in entry["signature"]
    text = (
        (paths.report_dir("miniature") / "report.md").read_text().split("\n## On other datasets\n")[1].split("\n## ")[0]
    )
    (line,) = [x for x in text.splitlines() if x.startswith("| samsum | again ")]
    assert line.split(" | ")[2] == "4" and line.split(" | ")[4] == f"{100 * entry['value']:.0f}"
    assert not list(resume.WORK.glob("transfer/*")) or all(
        (p / "finished").exists() for p in resume.WORK.glob("transfer/*")
    )


def test_a_dialogue_that_was_learnt_from_is_refused_or_left_out(given: dict[str, Any]) -> None:
    splits = {split: storage.read_split(split) for split in paths.SPLITS}
    preflight.check_other_datasets(config.parse(given), splits)
    write([*OTHER, {"id": "known", "dialogue": "Hello  3", "summary": "x"}])
    with pytest.raises(UserError, match=r"evaluate_on\.samsum: 1 dialogues .* 'known', which is 'e3 of validation'"):
        preflight.check_other_datasets(config.parse(given), splits)
    dropping = study(evaluate_on={"samsum": BLOCK | {"overlap": "drop"}})
    preflight.check_other_datasets(config.parse(dropping), splits)
    write([{"id": "known", "dialogue": "Hello  3", "summary": "x"}])
    with pytest.raises(UserError, match=r"evaluate_on\.samsum: no dialogue is left"):
        preflight.check_other_datasets(config.parse(dropping), splits)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"dataset": "samsun"}, r"evaluate_on\.samsum"),
        ({"dataset": "samsum", "path": "x"}, r"evaluate_on\.samsum\.(train|test): missing"),
        ({"path": "x"}, r"evaluate_on\.samsum\.dataset: missing"),
        ("samsum", r"evaluate_on\.samsum\.dataset: missing"),
    ],
)
def test_a_block_that_cannot_be_is_refused(block: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.parse(study(evaluate_on={"samsum": block}))


def test_a_file_that_is_not_there_is_found_by_check(given: dict[str, Any]) -> None:
    Path("local/samsum/test.jsonl").unlink()
    splits = {split: storage.read_split(split) for split in paths.SPLITS}
    with pytest.raises(UserError, match=r"evaluate_on\.samsum\.test\.file: .* does not exist; correct evaluate_on"):
        preflight.check_other_datasets(config.parse(given), splits)
