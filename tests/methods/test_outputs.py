"""Another system's summaries go the road of a variant, from their file to the report, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bench import config, report
from bench.core import paths, storage
from bench.core.schema import Example, Prediction, UserError
from bench.evaluation import preflight
from bench.report import plots
from stages import generate, score, train

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [Example(id=f"e{k}", dialogue_id=f"e{k}", source=f"hello {k}", references=("a b c",)) for k in range(6)]
BLOCK = {"method": "outputs", "init": "base", "learns_from": "local/bart.txt"}


def study(**variants: Any) -> dict[str, Any]:
    raw = YAML(typ="safe", pure=True).load((ROOT / "studies" / "miniature.yaml").read_text())
    base = {"method": "none", "init": "base", "learns_from": "models/base"}
    raw["variants"] = {"baseline": base} | variants
    raw["generation"] |= {"max_new_tokens": 4, "samples": 1}
    raw["metrics"] = {"rouge": {}, "kl": {}, "text": {}}
    del raw["gate"]
    return dict(raw)


def test_from_the_file_to_the_report(tiny_base: Path, tiny_reward: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = study(bart=BLOCK)
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe").dump(raw, file)
    for split in paths.SPLITS:
        storage.write_rows(paths.split_path(split), EXAMPLES)
    Path("local").mkdir()
    Path("local/bart.txt").write_text("a b c\n" * 5 + "\n")
    preflight.check_outputs(config.parse(raw), EXAMPLES)
    for stage in (train, generate, score):
        for variant in raw["variants"]:
            stage.main(variant)
    rows = storage.read_rows(paths.predictions_path("bart"), Prediction)
    assert [row.text for row in rows] == ["a b c"] * 5 + [""]
    assert {row.output for row in rows} == {"greedy"}
    for system in paths.YARDSTICKS:
        storage.write_rows(paths.scores_path(system), [])
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    report.build(config.parse(raw))
    folder = paths.report_dir("miniature")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["variants"]["bart"]["rouge1"]["value"] == pytest.approx(5 / 6)  # the empty one has nothing in common
    digest = storage.sha256_file(Path("local/bart.txt"))[:8]
    assert f"gen:outputs,sha256:{digest}" in metrics["variants"]["bart"]["rouge1"]["signature"]
    assert "kl_base" in metrics["variants"]["baseline"] and "kl_base" not in metrics["variants"]["bart"]
    assert "bart" not in metrics["changes"]  # it was not made from anything here
    (line,) = [
        x
        for x in (folder / "report.md").read_text().split("## Results")[1].split("\n## ")[0].splitlines()
        if x[:7] == "| bart "
    ]
    assert line.split("|")[2].strip().startswith("83 ")


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"bart": BLOCK | {"learns_from": "/etc/passwd"}}, r"variants\.bart\.learns_from: .* must lie below the project"),
        ({"bart": BLOCK | {"learns_from": "local/../../x"}}, r"variants\.bart\.learns_from: .* must lie below the project"),
        ({"bart": BLOCK | {"seeds": [0, 1]}}, r"variants\.bart\.seeds: method 'outputs' trains nothing"),
        (
            {"bart": BLOCK, "more": {"method": "none", "init": "bart", "learns_from": "models/bart"}},
            r"variants\.more\.init: 'bart' has no model; start from 'base'",
        ),
    ],
)  # fmt: skip
def test_a_block_that_cannot_be_is_refused(variants: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.parse(study(**variants))
