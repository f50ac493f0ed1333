"""The report: what is written where, the same again, the smallest studies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from bench import report
from bench.core import parameters, paths, storage
from tests.report.toy import START, Built, fabricate, section_of, toy_params


def test_build_returns_a_headline(study: parameters.Params) -> None:
    headline = report.build(study)
    assert re.match(
        r"report: 5 variants, ROUGE-1 baseline [\d.]+ ± [\d.]+, full .* -> reports/toy/report.md$", headline
    )
    assert "\n" not in headline


def test_the_folder_holds_what_dvc_expects(built: Built) -> None:
    folder = built[0]
    assert {"metrics.json", "costs.json", "scores.csv", "predictions.jsonl", "report.md", "plots"} == {
        path.name for path in folder.iterdir()
    }
    assert {"tradeoff.png", "tradeoff.csv", "differences.png", "differences.csv", "curves.png", "curves"} == {
        p.name for p in (folder / "plots").iterdir()
    }


def test_another_build_elsewhere_is_equal_to_the_byte(finished: Path, workdir: Path) -> None:
    fabricate()
    report.build(toy_params())
    before, after = (
        {path.relative_to(root): path.read_bytes() for path in (root / "reports").rglob("*") if path.is_file()}
        for root in (finished, workdir)
    )
    assert len(before) > 8
    assert before == after


def test_rows_in_another_order_and_rows_twice_give_the_same_metrics(study: parameters.Params) -> None:
    report.build(study)
    path = paths.report_dir("toy") / "metrics.json"
    before = path.read_bytes()
    for name in START:
        rows = storage.read_scores(name)
        storage.write_rows(paths.scores_path(name), [*reversed(rows), *rows])
    report.build(study)
    assert path.read_bytes() == before


def test_a_small_study_without_human_alignment_or_toxicity(workdir: Path) -> None:
    params = fabricate(n=3, samples=0, systems=(*START, "lead-3"))
    few = {name: params.variants[name] for name in ("baseline", "full")}
    report.build(params.model_copy(update={"variants": few, "metrics": {"rouge": params.metrics["rouge"]}}))
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "human" not in section_of(text, "Results").split("`human`")[0]
    assert "Is the reward being gamed" not in text
    assert "tradeoff.png" not in text
    one = {"full": params.variants["full"]}
    report.build(params.model_copy(update={"variants": one}))  # its start is no variant: nothing to compare with
    assert json.loads((paths.report_dir("toy") / "metrics.json").read_text())["changes"] == {}


def test_one_dialogue_and_clean_scores_give_no_nan(workdir: Path) -> None:
    params = fabricate(n=1)
    for name in (*START, *paths.YARDSTICKS):
        rows = storage.read_scores(name)
        clean = [row.model_copy(update={"values": dict.fromkeys(row.values, 0.0)}) for row in rows]
        storage.write_rows(paths.scores_path(name), clean)
    report.build(params)
    metrics = json.loads((paths.report_dir("toy") / "metrics.json").read_text())
    assert metrics["changes"]["ppo"]["toxicity_judge"]["difference"] == 0
    assert "mean_improvement" not in metrics["changes"]["ppo"]["toxicity_judge"]
    assert "se" not in metrics["variants"]["ppo"]["rouge1"]
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text)
    assert "identical" in text


def test_importing_and_building_needs_no_torch() -> None:
    code = (
        "import sys; import bench.report, bench.report.document, bench.report.plots, bench.report.inputs, bench.report.estimates;"
        "assert not {'torch', 'transformers', 'matplotlib', 'pandas'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])


def test_a_whole_study_is_reported_in_seconds(workdir: Path) -> None:
    params = fabricate(n=400, samples=1)
    start = time.perf_counter()
    report.build(params.model_copy(update={"report": parameters.ReportConfig()}))
    assert time.perf_counter() - start < 15  # 3.6 s with half a core
