"""costs.json: what was measured, when and where."""

from __future__ import annotations

import json
import shutil

import pytest

from bench import report
from bench.core import costs, parameters, paths, storage
from tests.report.toy import AT, Built, section_of

UNTIMED = '{"measured": {"train/lora": {"measured_at": 3, "inputs": "00000000"}}, "stages": {"train/lora": 1}, "variants": {}}'


def test_costs_hold_sizes_and_times(built: Built) -> None:
    contents = json.loads((built[0] / "costs.json").read_text())
    assert contents["variants"]["lora"]["trainable_share"] == 0.08
    assert contents["variants"]["lora"]["train"]["training_seconds"] == 61.5
    assert contents["variants"]["lora"]["generate"]["generation_tokens_per_second"] == 900.5
    assert contents["total_wall_seconds"] == pytest.approx(5 * 83 + 1)
    time_table = section_of(built[2], "Cost")
    assert "train/full" in time_table
    assert "16.8 %" in time_table


def test_it_says_when_and_where_each_stage_was_measured(built: Built) -> None:
    measured = json.loads((built[0] / "costs.json").read_text())["measured"]
    assert measured["train/lora"] == {"measured_at": AT, "on": "Toy CPU, 2 threads", "inputs": "00000000"}
    note = section_of(built[2], "Cost")
    assert "Measured 2026-01-02 03:04 UTC on Toy CPU, 2 threads." in note
    assert "Without a measurement: check, yardsticks, checkpoint/base, checkpoint/reward, checkpoint/judge." in note


def test_first_and_last_time_and_every_machine_are_said(study: parameters.Params) -> None:
    gpu = {"wall_seconds": 1.0, "measured_at": "2026-01-05T01:30:00+02:00", "machine": {"gpu": "Toy|GPU"}}
    storage.write_json(costs.path_of("check"), gpu)
    storage.write_json(costs.path_of("yardsticks"), {"wall_seconds": 1.0})
    report.build(study)
    note = section_of((paths.report_dir("toy") / "report.md").read_text(), "Cost")
    assert (
        "Measured 2026-01-02 03:04 to 2026-01-04 23:30 UTC on Toy CPU, 2 threads; Toy&#124;GPU; an unknown machine."
        in note.replace("\\", "")
    )
    assert "Without a measurement: checkpoint/base, checkpoint/reward, checkpoint/judge." in note


def test_a_study_without_any_measurement_says_so(study: parameters.Params) -> None:
    shutil.rmtree("costs")
    report.build(study)
    note = section_of((paths.report_dir("toy") / "report.md").read_text(), "Cost")
    assert "Measured" not in note
    assert "Without a measurement: data, check, yardsticks, checkpoint/base" in note


def test_what_was_not_measured_here_keeps_the_record_of_the_last_report(study: parameters.Params) -> None:
    report.build(study)
    path = paths.report_dir("toy") / "costs.json"
    before = path.read_bytes()
    shutil.rmtree("costs/train/lora")
    shutil.rmtree("costs/data")
    report.build(study)
    assert path.read_bytes() == before
    path.unlink()
    report.build(study)
    after = json.loads(path.read_text())
    assert "train/lora" not in after["measured"] and after["variants"]["lora"]["train"] == {}
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "Without a measurement: data, check, yardsticks, checkpoint/base" in text
    assert "checkpoint/judge, train/lora." in text


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"measured": 3}', '{"measured": {"data": {}}, "stages": {}}', UNTIMED],
)
def test_a_last_report_that_cannot_be_read_is_no_record(study: parameters.Params, content: str) -> None:
    storage.write_text(paths.report_dir("toy") / "costs.json", content)
    shutil.rmtree("costs/train/lora")
    report.build(study)
    assert "train/lora" not in json.loads((paths.report_dir("toy") / "costs.json").read_text())["measured"]
