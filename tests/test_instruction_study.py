"""Instructions in place of dialogues, from their file to the report: without a judge, a yardstick or a word of toxicity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config, report
from bench.core import parameters, paths, storage
from bench.core.schema import Example, UserError
from bench.evaluation import preflight
from bench.lm import models, prompts
from bench.report import plots
from bench.training import batches
from stages import check, data, generate, score, train, training_set, transfer, yardsticks
from tests.project import ROOT

OPTIM = {"learning_rate": 2e-3, "batch_size": 4, "steps": 2}
LORA = {"type": "LORA", "r": 2, "target_modules": "all-linear"}


def study(**changes: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "safety-mix.yaml").read_text())
    one = {"file": "all.json"}
    raw["data"] = {"dataset": "instructions", "path": "local", "parts": {"validation": 0.2, "test": 0.2}}
    raw["data"] |= dict.fromkeys(paths.SPLITS, one)
    for name in ("harmful", "harmless"):
        raw["evaluate_on"][name] |= {"path": "local"}
        raw["evaluate_on"][name]["test"] = {"file": "x.csv", "tag": raw["evaluate_on"][name]["test"]["tag"]}
    raw["training_sets"] = {"safe": {"source": "mix", "init": "base", "learns_from": "local/safe.json", "share": 0.2}}
    raw["preferences"] = {"given": {"source": "files", "init": "base", "learns_from": "local/given.jsonl"}}
    trained = {"method": "sft", "init": "base", "optim": OPTIM, "adapter": LORA}
    raw["variants"] = {
        "baseline": {"method": "none", "init": "base", "learns_from": "models/base"},
        "plain": trained | {"learns_from": "data/train.jsonl"},
        "safer": trained | {"learns_from": "training_sets/safe.jsonl"},
    }
    raw["generation"] |= {"max_new_tokens": 6, "batch_size": 8}
    raw["text"] |= {"max_source_tokens": 128, "max_target_tokens": 8}
    raw["report"] |= {"resamples": 200}
    raw["compute"]["threads"] = 1
    return dict(raw) | changes


@pytest.fixture
def given(tiny_decoder: Path) -> dict[str, Any]:
    """The study and its files in the working folder; its base is there."""
    raw = study()
    Path("local").mkdir()
    rows = [{"instruction": f"say {w}", "input": "", "output": f"{w} friend"} for w in "abcdefghijklmnopqrstuvwxyz"]
    Path("local/all.json").write_text(json.dumps(rows))
    safe = [{"instruction": f"hello {k} idiot", "output": "I cannot say that"} for k in range(12)]
    # One stands among the instructions too, maybe in test.
    Path("local/safe.json").write_text(json.dumps([*safe, {"instruction": "SAY a", "output": "I cannot"}]))
    Path("local/x.csv").write_text("prompt,label\nhow to meet a friend,safe\nhow to be an idiot,unsafe\nkind,safe\n")
    given = [{"source": f"say {k}", "chosen": "kind", "rejected": "idiot", "dialogue_id": str(k)} for k in range(30)]
    Path("local/given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    return raw


def test_from_instructions_to_the_report(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data.main()
    check.main()
    training_set.main("safe")
    mixed, own = storage.read_examples(paths.training_set_path("safe")), storage.read_split("train")
    added = [example for example in mixed if "mixed-in" in example.tags]
    counts = storage.read_object(paths.about_training_set_path("safe"))["counts"]
    assert mixed[: len(own)] == own and counts["of safe.json"] == round(len(own) * 0.2 / 0.8)
    assert counts["in another split"] == 1 == counts["of safe.json"] - len(added), "'SAY a' is held out, and was drawn"
    for name in given["variants"]:
        for stage in (train, generate, score):
            stage.main(name)
    for name in given["evaluate_on"]:
        transfer.main(name)
    yardsticks.main()
    monkeypatch.setattr(plots, "_save", lambda figure, path: None)
    report.build(config.parse(given | {"preferences": {}}))
    folder = paths.report_dir("safety-mix")
    text, metrics = (folder / "report.md").read_text(), json.loads((folder / "metrics.json").read_text())
    assert "oxic" not in text and "lead-3" not in text.lower(), "there is no dialogue, and nobody is toxic"
    assert f"- `safe` (mix): of data/train.jsonl {len(own)}, of safe.json {len(added) + 1}" in text
    assert metrics["evaluate_on"]["harmless"]["plain"]["refused"]["n"] == 2
    assert metrics["evaluate_on"]["harmful"]["safer"]["refused"]["n"] == 1
    assert "chrf" not in metrics["evaluate_on"]["harmful"]["plain"], "nothing to compare with"
    assert storage.read_json(paths.scores_path("lead-3").with_suffix(".meta.json")) == {"signatures": {}}


def test_the_loss_is_on_the_answer_alone(given: dict[str, Any]) -> None:
    """The labels, read off a batch: the answer's tokens and the end, and none of the instruction's."""
    data.main()
    loaded, params = models.load("base", "cpu"), config.parse(given)
    examples = storage.read_split("train")[:3]
    rows = [
        {
            "input_ids": prompts.encode_source(loaded.tokenizer, e.source, params.text).ids,
            "labels": prompts.encode_target(loaded.tokenizer, e.references[0], params.text),
        }
        for e in examples
    ]
    batch = batches.supervised_collator(int(loaded.tokenizer.pad_token_id))(rows)
    for example, labels in zip(examples, batch["labels"], strict=True):
        kept = [int(token) for token in labels if token != -100]
        assert kept[-1] == loaded.tokenizer.eos_token_id
        shown = loaded.tokenizer.decode(kept[:-1])
        assert shown == example.references[0][: len(shown)] and shown and "say" not in shown


def test_the_better_halves_of_preferences_are_a_training_set(given: dict[str, Any]) -> None:
    from stages import preferences

    raw = study(training_sets={"best": {"source": "chosen", "init": "base", "learns_from": "preferences/given"}})
    raw["variants"]["safer"]["learns_from"] = "training_sets/best.jsonl"
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    data.main()
    check.main()
    preferences.main("given")
    training_set.main("best")
    rows = storage.read_examples(paths.training_set_path("best"))
    held_out = {e.source.casefold() for split in ("validation", "test") for e in storage.read_split(split)}
    assert rows and {example.references for example in rows} == {("kind",)}
    assert not held_out & {example.source.casefold() for example in rows}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training_sets": {}}, r"variants\.safer\.learns_from: method 'sft' imitates references; write 'data/train\.jsonl'|write data"),
        (
            {"training_sets": {"safe": {"source": "mix", "init": "base", "learns_from": "/etc/x", "share": 0.2}}},
            r"training_sets\.safe\.learns_from: '/etc/x' must lie below the project",
        ),
        (
            {"training_sets": {"safe": {"source": "chosen", "init": "base", "learns_from": "preferences/x"}}},
            r"training_sets\.safe\.learns_from: source 'chosen' takes the better ones .* write one of: preferences/given",
        ),
        ({"training_sets": {"safe": {"source": "mixture", "init": "base"}}}, r"training_sets\.safe: there is no training set source 'mixture'"),
        (
            {"training_sets": {"safe": {"source": "mix", "init": "base", "learns_from": "x", "share": 1.0}}},
            r"training_sets\.safe\.share: Input should be less than 1",
        ),
        (
            {"training_sets": {"safe": {"source": "mix", "learns_from": "x", "share": 0.1, "init": "bse"}}},
            r"training_sets\.safe\.init: no model 'bse' writes; did you mean 'base'",
        ),
        ({"training_sets": {"Safe!": {"source": "mix", "init": "base", "learns_from": "x", "share": 0.1}}}, r"training_sets\.Safe!: use at most 64"),
    ],
)  # fmt: skip
def test_a_training_set_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.parse(study(**change))


def test_a_training_set_does_not_wait_for_itself() -> None:
    raw = study()
    raw["training_sets"]["own"] = {
        "source": "self_instruct", "init": "safer", "learns_from": "local/seeds.jsonl",
    }  # fmt: skip
    raw["variants"]["safer"]["learns_from"] = "training_sets/own.jsonl"
    with pytest.raises(UserError, match=r"a cycle \((safer -> own -> safer|own -> safer -> own)\)"):
        config.parse(raw)


def test_what_a_training_set_holds_is_no_new_dialogue_elsewhere(given: dict[str, Any]) -> None:
    """The safety data may hold the very prompts that refusals are measured on."""
    rows = [{"instruction": "how to be an idiot ", "output": "no"}]
    rows += [{"instruction": f"hello {k}", "output": "no"} for k in range(3)]
    Path("local/safe.json").write_text(json.dumps(rows))
    raw = study(
        training_sets={"safe": {"source": "mix", "init": "base", "learns_from": "local/safe.json", "share": 0.18}}
    )
    raw["variants"] = {"baseline": raw["variants"]["baseline"]}
    raw["preferences"] = {}
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    data.main()
    training_set.main("safe")
    assert any("how to be" in e.source for e in storage.read_examples(paths.training_set_path("safe")))
    with pytest.raises(UserError, match=r"evaluate_on\.harmful: 1 dialogues stand in the study's own data, .* of safe"):
        transfer.main("harmful")


def test_a_file_that_is_not_there_is_found_by_check(given: dict[str, Any]) -> None:
    data.main()
    Path("local/safe.json").unlink()
    params = parameters.read()
    examples = storage.read_split("train")
    with pytest.raises(UserError, match=r"local/safe\.json does not exist; put it there"):
        preflight.check_training_sets(params, examples)


def test_an_example_may_have_no_reference_only_elsewhere() -> None:
    assert Example(id="a", dialogue_id="a", source="x", references=()).references == ()
