"""scores.csv and predictions.jsonl."""

from __future__ import annotations

import csv
import json

import pytest

from bench import report
from bench.core import parameters, paths, storage
from tests.report.toy import NASTY, START, Built


def test_scores_csv_has_a_row_a_writer_id_output_and_draw(built: Built) -> None:
    with (built[0] / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 * (5 * (1 + 2 + 1) + 2 * 2)  # greedy, two samples, dialogue; yardsticks have no samples
    first = storage.read_scores("ppo")[0]
    row = next(r for r in rows if (r["variant"], r["id"], r["output"]) == ("ppo", first.id, "greedy"))
    assert float(row["rouge1"]) == pytest.approx(first.values["rouge1"], rel=1e-5)
    assert row["toxicity_judge"] != ""
    assert row["kl_base"] == ""


def test_predictions_hold_greedy_summaries_by_variant_in_the_order_of_the_test_split(built: Built) -> None:
    rows = [json.loads(line) for line in (built[0] / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["variant"] for row in rows] == [name for name in START for _ in range(24)]
    assert [row["id"] for row in rows] == [f"t{k}" for k in range(24)] * 5
    first = {
        "variant": "baseline",
        "id": "t0",
        "dialogue_id": "d0",
        "output": "greedy",
        "draw": 0,
        "text": f"{NASTY} t0",
    }
    assert rows[0] == first
    assert list(rows[0]) == list(first)


def test_predictions_keep_the_order_without_samples_and_go_with_the_texts(study: parameters.Params) -> None:
    rows = storage.read_predictions("ppo")
    samples = [row.model_copy(update={"output": "sample"}) for row in rows]
    storage.write_rows(paths.predictions_path("ppo"), [*samples, *reversed(rows)])
    report.build(study)
    path = paths.report_dir("toy") / "predictions.jsonl"
    written = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in written if row["variant"] == "ppo"] == [f"t{k}" for k in range(24)]
    report.build(study.model_copy(update={"report": parameters.ReportConfig(resamples=100, texts=False)}))
    assert not path.exists()
