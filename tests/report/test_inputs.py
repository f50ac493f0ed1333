"""What the report is made of, and everything that may be wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.core import costs, parameters, paths, storage
from bench.core.schema import UserError
from bench.report import inputs


def test_scores_of_unknown_variants_are_named_and_left_out(study: parameters.Params) -> None:
    rows = storage.read_scores("ppo")
    storage.write_rows(paths.scores_path("ghost"), rows)
    storage.write_json(costs.path_of("train", "ghost"), {"wall_seconds": 1e6})
    report.build(study)
    folder = paths.report_dir("toy")
    assert "scores/ghost.jsonl belongs to no variant" in (folder / "report.md").read_text().replace("\\", "")
    for name in ("metrics.json", "costs.json", "scores.csv"):
        assert "ghost" not in (folder / name).read_text()


def test_missing_scores_are_the_users_error(study: parameters.Params) -> None:
    paths.scores_path("ppo").unlink()
    with pytest.raises(UserError, match=r"scores/ppo.jsonl does not exist"):
        report.build(study)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row for row in rows if row.id != "t3"], "no row for 't3' of data/test.jsonl"),
        (lambda rows: [*rows, rows[0].model_copy(update={"id": "other"})], "row 'other' is not in data/test.jsonl"),
        (lambda rows: [row for row in rows if row.metric != "kl"], "no rows of metric 'kl'"),
        (lambda rows: [*rows, rows[0].model_copy(update={"values": {"foo": 1.0}})], "has no column 'foo'"),
        (lambda rows: [*rows, rows[0].model_copy(update={"values": {"rouge1": 1e300}})], "rouge1: 1e+300 is no score"),
        (
            lambda rows: [row for row in rows if (row.id, row.metric, row.output) != ("t3", "rouge", "greedy")],
            "no row of metric 'rouge' for 't3'",
        ),
    ],
)
def test_rows_that_do_not_fit_the_test_split_are_the_users_error(
    study: parameters.Params, change: Any, message: str
) -> None:
    storage.write_rows(paths.scores_path("ppo"), change(storage.read_scores("ppo")))
    with pytest.raises(UserError, match=re.escape(message)):
        report.build(study)
    assert not paths.report_dir("toy").exists()


COSTS = "costs/train/ppo/00000000.json"


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("scores/ppo.jsonl", '{"id": "t0"', "scores/ppo.jsonl line 1: Invalid JSON"),
        ("scores/ppo.jsonl", "\xff", "scores/ppo.jsonl is not UTF-8 text"),
        ("scores/ppo.meta.json", "[]", "scores/ppo.meta.json must hold a JSON object"),
        ("scores/ppo.meta.json", '{"signatures": {"rouge1": "\\ud800"}}', "scores/ppo.meta.json is not valid JSON"),
        ("scores/ppo.meta.json", '{"signatures": []}', "scores/ppo.meta.json: signatures.rouge1: missing"),
        ("scores/ppo.meta.json", '{"signatures": {"rouge1": 5}}', "scores/ppo.meta.json: signatures.rouge1: missing"),
        ("predictions/ppo.jsonl", "{}", "predictions/ppo.jsonl line 1: id: Field required"),
        ("data/test.jsonl", "", "data/test.jsonl holds no dialogue"),
        ("curves/ppo.csv", "step,loss\n0,nan\n", "curves/ppo.csv line 2: loss: nan is no number to draw"),
        ("curves/ppo.csv", "step,loss\n0,high\n", "curves/ppo.csv is not a table of numbers"),
        ("curves/ppo.csv", "step,loss\n0,1,2\n", "curves/ppo.csv is not a table of numbers"),
        ("curves/ppo.csv", 'step,"loss\n' + "0" * 200_000, "curves/ppo.csv is not a table of numbers"),
        (COSTS, "[]", f"{COSTS} must hold a JSON object"),
        (COSTS, '{"wall_seconds": NaN}', f"{COSTS} is not valid JSON"),
        (COSTS, '{"wall_seconds": 1e999}', f"{COSTS} is not valid JSON"),
        (COSTS, "[" * 100_000, f"{COSTS} is not valid JSON"),
        (COSTS, '{"wall_seconds": "1"}', f"{COSTS}: wall_seconds: must be a number"),
        (COSTS, '{"peak_resident_bytes": -1}', f"{COSTS}: peak_resident_bytes: must be a number"),
        (COSTS, '{"measured_at": 3}', f"{COSTS}: measured_at: must be a time like"),
        (COSTS, '{"measured_at": "yesterday"}', f"{COSTS}: measured_at: must be a time like"),
        (COSTS, '{"measured_at": "2026-01-02T03:04:05"}', f"{COSTS}: measured_at: must be a time like"),
        ("data/counts.json", '{"test": {"dropped": "1"}}', "data/counts.json: test.dropped: Input should be a valid"),
        ("data/counts.json", '{"test": {"dropped": -1}}', "data/counts.json: test.dropped: Input should be greater"),
        ("checked/lengths.json", "[]", "checked/lengths.json must hold a JSON object"),
        ("checked/lengths.json", '{"base": []}', "checked/lengths.json: base: Input should be a valid dict"),
        ("checked/lengths.json", '{"base": {"test": {"rows": 0}}}', "base.test.rows: Input should"),
    ],
)
def test_what_somebody_edited_is_named(study: parameters.Params, place: str, content: str, message: str) -> None:
    Path(place).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=re.escape(message)):
        report.build(study)
    assert not paths.report_dir("toy").exists()


def test_a_folder_in_the_place_of_a_file_is_named(study: parameters.Params) -> None:
    for place in ("scores/ppo.jsonl", "scores/ppo.meta.json", "curves/ppo.csv"):
        Path(place).rename("aside")
        Path(place).mkdir()
        with pytest.raises(UserError, match=rf"{place} (cannot be read|is not a table)"):
            report.build(study)
        Path(place).rmdir()
        Path("aside").rename(place)


def test_a_missing_signature_and_an_unknown_primary_are_named(study: parameters.Params) -> None:
    with pytest.raises(UserError, match=r"report.primary: no metric has a column 'rouge7'; did you mean 'rouge\w'"):
        report.build(study.model_copy(update={"report": parameters.ReportConfig(primary="rouge7")}))
    storage.write_json(paths.signatures_path("ppo"), {"signatures": {}})
    with pytest.raises(UserError, match=r"scores/ppo.meta.json: signatures.rouge1: missing"):
        report.build(study)


def test_rows_of_a_metric_no_longer_named_are_left_out_with_a_warning(study: parameters.Params) -> None:
    rest = {name: block for name, block in study.metrics.items() if name != "text"}
    data = inputs.read(study.model_copy(update={"metrics": rest}))
    assert any("rows of 'text' were left out" in text for text in data.warnings)
    report.build(study.model_copy(update={"metrics": rest}))


@pytest.mark.parametrize(("key", "value"), [("total_parameters", -1), ("checkpoint_bytes", "1"), ("x", None)])
def test_a_size_that_is_no_count_is_named(study: parameters.Params, key: str, value: Any) -> None:
    about = storage.read_json(paths.signatures_path("ppo"))
    storage.write_json(paths.signatures_path("ppo"), about | {"model": about["model"] | {key: value}})
    with pytest.raises(UserError, match=rf"scores/ppo.meta.json: model.{key}: Input should be .*; run `dvc repro`"):
        report.build(study)
