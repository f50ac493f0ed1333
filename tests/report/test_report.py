"""The report of a fabricated study: every number against naive arithmetic, every page against what must not be there."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from bench import report, stats
from bench.core import parameters, paths, plugins, storage
from bench.core.schema import CheckpointConfig, DatasetConfig, Example, MethodConfig, Prediction, ScoreRow, UserError
from bench.evaluation import scoring
from bench.report import estimates, examples, inputs, plots

NASTY = (
    "evil|pipe `tick` <script>alert(1)</script> [link](http://x.y) \x1b[31mred\x1b[0m **bold** $x$ &amp; _a_\n# head"
)
GIVEN = NASTY.replace("\x1b", "")  # a dataset with control characters is refused; a model may write them
START = {"baseline": "base", "full": "base", "lora": "base", "ppo": "full", "dpo": "full"}
METHOD = {"baseline": "none", "full": "sft", "lora": "sft", "ppo": "ppo", "dpo": "dpo"}
LEVEL = {"baseline": 0.26, "lora": 0.66, "full": 0.74, "ppo": 0.74, "dpo": 0.74, "lead-3": 0.3, "human": 0.8}
TOXIC = {"baseline": 0.02, "lora": 0.12, "full": 0.18, "ppo": 0.06, "dpo": 0.09, "lead-3": 0.2, "human": 0.15}


class Base(CheckpointConfig):
    """A checkpoint with a name, as the hub's plugin has."""

    model: str = "tiny/one"


def toy_params(**changes: Any) -> parameters.Params:
    """A study of five variants, its blocks typed by hand so that no plugin but the metrics matters."""
    blocks = {
        name: MethodConfig(method=METHOD[name], init=init, learns_from=teacher(name)) for name, init in START.items()
    }
    settings: dict[str, Any] = {
        "study": "toy",
        "data": DatasetConfig(dataset="miniature"),
        "checkpoints": {"base": Base(source="hub"), "reward": Base(source="hub"), "judge": Base(source="hub")},
        "variants": blocks,
        "metrics": {name: plugins.find("metric", name).Config() for name in ("rouge", "toxicity", "kl", "text")},
        "report": parameters.ReportConfig(resamples=400),
    }
    return parameters.Params(**(settings | changes))


def teacher(name: str) -> str:
    return {"sft": "data/train.jsonl", "none": "models/base"}.get(METHOD[name], "models/reward")


def noise(system: str, n: int) -> np.random.Generator:
    return np.random.default_rng([n, *system.encode()])


def fabricate(
    n: int = 24, samples: int = 2, systems: tuple[str, ...] = (*START, *paths.YARDSTICKS)
) -> parameters.Params:
    """Write every file that the report reads, in the current folder; every third dialogue is heated."""
    params = toy_params(report=parameters.ReportConfig(resamples=400))
    rows = [
        Example(
            id=f"t{k}", dialogue_id=f"d{k}", source=f"#Person1#: Hello {k}.\n#Person2#: {GIVEN}",
            references=(f"They greet {k}.", GIVEN), tags=("heated",) if k % 3 == 0 else ("calm",))
        for k in range(n)
    ]  # fmt: skip
    storage.write_rows(paths.split_path("test"), rows)
    for system in systems:
        write_scores(params, system, rows, samples)
    for k, name in enumerate(START):
        written = [
            Prediction(id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=0, text=f"{NASTY} {e.id}")
            for e in rows
        ]
        storage.write_rows(paths.predictions_path(name), written)
        train: dict[str, Any] = {"variant": name, "method": METHOD[name], "kind": "full", "facts": {"a": 1},
                 "trainable_parameters": 40_000 * k, "total_parameters": 1_000_000, "checkpoint_bytes": 4_000_000,
                 "training_seconds": 61.5, "wall_seconds": 70.0, "peak_resident_bytes": 8e8}  # fmt: skip
        storage.write_json(paths.cost_path("train", name), train)
        storage.write_json(
            paths.cost_path("generate", name), {"wall_seconds": 9.0, "generation_tokens_per_second": 900.5}
        )
        storage.write_json(paths.cost_path("score", name), {"wall_seconds": 4.0})
        if METHOD[name] != "none":
            curve = [{"step": i, "loss": 2 / (i + 1)} | ({"reward": i, "kl": 0.1 * i, "entropy": 1.0} if name == "ppo" else {})
                     for i in range(5)]  # fmt: skip
            storage.write_table(paths.curve_path(name), curve)
    storage.write_json(
        paths.cost_path("data", "data"), {"wall_seconds": 1.0, "gpu_name": "Toy GPU", "train_dropped": 34}
    )
    storage.write_json(
        paths.cost_path("check", "inputs"),
        {"lengths": {"base": {"train": {"rows": 12_426, "sources_cut": 621, "references_cut": 3}}}},
    )
    return params


def write_scores(params: parameters.Params, system: str, rows: list[Example], samples: int) -> None:
    """Scores of one system: a value for every column that its metric declares, around the system's level."""
    rng, shared = noise(system, len(rows)), np.random.default_rng(7).normal(0, 0.12, len(rows))
    found: list[ScoreRow] = []
    for metric, block in params.metrics.items():
        if system in paths.YARDSTICKS and metric not in ("rouge", "toxicity"):
            continue
        columns = plugins.find("metric", metric).columns(block)
        wanted: dict[str, list[str]] = {"greedy": [], "sample": [], "dialogue": []}
        for key in columns:
            kind = (
                "sample"
                if key.endswith("_sampled")
                else "dialogue"
                if metric == "kl" or key.endswith("_input")
                else "greedy"
            )
            wanted[kind].append(key.removesuffix("_sampled"))
        for kind, keys in wanted.items():
            for draw in range(samples if kind == "sample" and system not in paths.YARDSTICKS else kind != "sample"):
                for k, example in enumerate(rows):
                    values = {key: one_value(key, system, k, shared[k], rng) for key in keys}
                    if values:
                        found.append(ScoreRow(id=example.id, dialogue_id=example.dialogue_id, output=kind, draw=draw,
                                              metric=metric, values=values))  # fmt: skip
    storage.write_rows(paths.scores_path(system), found)
    keys = dict.fromkeys(scoring.column_of(row, key) for row in found for key in row.values)
    signatures = {key: f"{key}|tool-1" + (f"|ref:{START[system]}" if "_start" in key else "") for key in keys}
    storage.write_json(paths.signatures_path(system), {"signatures": signatures})


def one_value(key: str, system: str, k: int, shared: float, rng: np.random.Generator) -> float:
    if key.startswith("toxicity"):
        return float(np.clip(rng.beta(1, 1 / TOXIC[system]) * (2 if k % 3 == 0 else 0.5), 0, 1))
    if key.startswith("rouge"):
        return float(np.clip(LEVEL[system] + shared + 0.03 * rng.normal(), 0, 1))
    return float(rng.random())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One study with its report, made once; tests must only read it."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report.build(fabricate())
    return folder


Built = tuple[Path, dict[str, Any], str]


@pytest.fixture
def built(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    """Its report folder, its metrics and its Markdown, from inside the study."""
    monkeypatch.chdir(finished)
    folder = paths.report_dir("toy")
    return folder, json.loads((folder / "metrics.json").read_text()), (folder / "report.md").read_text()


@pytest.fixture
def study(finished: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """A copy of the study without its report, to change; its report is built without pictures, which take longest."""
    for part in ("data", "predictions", "scores", "curves", "costs"):
        shutil.copytree(finished / part, workdir / part)
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    return toy_params(report=parameters.ReportConfig(resamples=100))


def column(system: str, key: str) -> np.ndarray:
    """(n,): dialogue means of a column, read naively."""
    base, output = key.removesuffix("_sampled"), ("sample",) if key.endswith("_sampled") else ("greedy", "dialogue")
    found: dict[str, list[float]] = {}
    for row in storage.read_scores(system):
        if row.output in output and base in row.values:
            found.setdefault(row.dialogue_id, []).append(row.values[base])
    return np.array([np.mean(values) for values in found.values()])


def test_build_says_what_it_found(study: parameters.Params) -> None:
    said = report.build(study)
    assert re.match(
        r"report: 5 variants, ROUGE-1 baseline [\d.]+ \[[\d.]+, [\d.]+\], full .* -> reports/toy/report.md$", said
    )
    assert "\n" not in said


def test_the_folder_holds_what_dvc_expects(built: Built) -> None:
    folder = built[0]
    assert {"metrics.json", "costs.json", "scores.csv", "predictions.jsonl", "report.md", "plots"} == {
        path.name for path in folder.iterdir()
    }
    assert {"tradeoff.png", "tradeoff.csv", "curves.png", "curves"} == {p.name for p in (folder / "plots").iterdir()}


@pytest.mark.parametrize("key", ["rouge1", "toxicity_judge", "toxicity_judge_sampled"])
def test_values_are_means_of_dialogue_means_with_clustered_errors(built: Built, key: str) -> None:
    for system, found in (built[1]["variants"] | built[1]["yardsticks"]).items():
        if key not in found:
            assert system in paths.YARDSTICKS
            continue
        values = column(system, key)
        assert found[key]["value"] == pytest.approx(values.mean(), rel=1e-5)
        assert found[key]["se"] == pytest.approx(values.std(ddof=1) / np.sqrt(24), rel=1e-5)
        assert found[key]["low"] < found[key]["value"] < found[key]["high"]
        assert found[key]["n"] == 24
        assert found[key]["signature"] == f"{key}|tool-1|n:24"


def test_further_statistics_stand_where_the_column_lists_them(built: Built) -> None:
    found, values = built[1]["variants"]["full"]["toxicity_judge"], column("full", "toxicity_judge")
    assert found["std"] == pytest.approx(values.std(ddof=1), rel=1e-5)
    assert found["p95"] == pytest.approx(np.quantile(values, 0.95, method="inverted_cdf"), rel=1e-5)
    assert found["max"] == pytest.approx(values.max(), rel=1e-5)
    assert found["rate_50"] == pytest.approx((values > 0.5).mean(), abs=1e-6)
    assert found["rate_10"] == pytest.approx((values > 0.1).mean(), rel=1e-5)
    assert not {"std", "p95"} & built[1]["variants"]["full"]["rouge1"].keys()


def test_changes_are_paired_against_the_variants_own_start(built: Built) -> None:
    changes = built[1]["changes"]
    assert {name: changes[name]["rouge1"]["against"] for name in changes} == {
        "full": "baseline", "lora": "baseline", "ppo": "full", "dpo": "full"}  # fmt: skip
    before, after = column("full", "toxicity_judge"), column("ppo", "toxicity_judge")
    found = changes["ppo"]["toxicity_judge"]
    expected = stats.paired_difference(before, after, count=400)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx(expected, rel=1e-5)
    assert found["p"] == pytest.approx(stats.sign_flip(after - before, 400)[0], rel=1e-5)
    assert found["smallest_detectable"] == pytest.approx(2.8 * (after - before).std(ddof=1) / np.sqrt(24), rel=1e-5)
    assert found["mean_improvement"] == pytest.approx((before.mean() - after.mean()) / before.mean(), rel=1e-4)
    assert found["std_improvement"] == pytest.approx(1 - after.std(ddof=1) / before.std(ddof=1), rel=1e-4)
    assert found["mean_improvement_low"] < found["mean_improvement"] < found["mean_improvement_high"]
    assert "mean_improvement" not in changes["ppo"]["rouge1"]


def test_holm_corrects_over_the_variants_compared_on_a_column(built: Built) -> None:
    found = [change["toxicity_judge"] for change in built[1]["changes"].values()]
    expected = stats.holm([change["p"] for change in found])
    assert [change["p_holm"] for change in found] == pytest.approx(expected, rel=1e-5)


def test_columns_with_another_signature_are_not_compared(built: Built) -> None:
    assert "kl_base" in built[1]["changes"]["ppo"]
    assert "kl_start" not in built[1]["changes"]["ppo"]  # measured against full here, against base there
    assert "toxicity_judge_input" not in built[1]["changes"]["ppo"]


def test_every_quality_number_of_the_main_table_carries_its_interval(built: Built) -> None:
    lines = section_of(built[2], "Results").splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert list(rows)[2:] == ["human", "lead-3", *START]
    for name in START:
        found = built[1]["variants"][name]["rouge1"]
        shown = f"{100 * found['value']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
        assert shown in rows[name]
    assert "8.0 %" in rows["lora"]  # 80,000 of 1,000,000


def section_of(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_another_build_elsewhere_is_equal_to_the_byte(finished: Path, workdir: Path) -> None:
    fabricate()
    report.build(toy_params())
    before, after = ({path.relative_to(root): path.read_bytes() for path in (root / "reports").rglob("*") if path.is_file()}
                     for root in (finished, workdir))  # fmt: skip
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


def test_metrics_hold_no_times_and_six_digits(built: Built) -> None:
    text = (built[0] / "metrics.json").read_text()
    assert "second" not in text and "bytes" not in text and "NaN" not in text
    numbers = re.findall(r"-?\d+\.\d+(?:e-?\d+)?", re.sub(r'"signature": ".*"', "", text))
    assert numbers
    assert all(float(f"{float(number):.6g}") == float(number) for number in numbers)


def test_costs_hold_sizes_and_times(built: Built) -> None:
    found = json.loads((built[0] / "costs.json").read_text())
    assert found["variants"]["lora"]["trainable_share"] == 0.08
    assert found["variants"]["lora"]["train"]["training_seconds"] == 61.5
    assert found["variants"]["lora"]["generate"]["generation_tokens_per_second"] == 900.5
    assert found["total_wall_seconds"] == pytest.approx(5 * 83 + 1)
    time_table = section_of(built[2], "Where the time went")
    assert "train/full" in time_table
    assert "16.8 %" in time_table


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


def test_the_verdict_on_the_reward_stands_in_metrics_and_after_what_alignment_changed(built: Built) -> None:
    verdict = "less toxic by the judge that training never saw"  # the fabricated scores fall for both
    assert {name: found["verdict"] for name, found in built[1]["panel"].items()} == {"ppo": verdict, "dpo": verdict}
    titles = re.findall(r"^## (.*)$", built[2], re.M)
    assert titles[titles.index("What alignment changed") + 1] == "Is the reward being gamed?"


def test_slices_by_tag(built: Built) -> None:
    heated = column("full", "toxicity_judge")[::3]
    lines = [line for line in section_of(built[2], "By slice").splitlines() if line.startswith("| heated")]
    line = next(line for line in lines if "| full" in line)
    assert f"{100 * heated.mean():.1f} [" in line
    assert "|           8 |" in line  # dialogues


def test_alignment_claims_only_what_the_interval_allows(built: Built) -> None:
    lines = section_of(built[2], "What alignment changed").splitlines()
    for name in ("ppo", "dpo"):
        for key, title in (("rouge1", "ROUGE-1"), ("toxicity_judge", "Toxicity (judge) (%)")):
            change = built[1]["changes"][name][key]
            line = next(x for x in lines if x.startswith(f"| {name} ") and f"| {title} " in x)
            excludes = change["low"] > 0 or change["high"] < 0
            assert ("excludes 0" in line) == excludes
            assert ("inconclusive" in line) == (not excludes)


def test_reward_table_lists_17_dialogues_and_the_means(built: Built) -> None:
    lines = [x for x in section_of(built[2], "Rewards before and after alignment").splitlines() if x.startswith("|")]
    assert len(lines) == 2 + 17 + 2
    change = column("ppo", "reward") - column("full", "reward")
    assert f"{change[:17].mean():+.3f}" in lines[-2]
    assert f"{change.mean():+.3f}" in lines[-1]


def test_report_renders_without_foreign_markup(built: Built) -> None:
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(built[2])
    assert "\x1b" not in html
    assert "<script" not in html
    assert 'href="http://x.y"' not in html
    assert "<strong>bold" not in html
    assert html.count("<h1>") == 1
    raw = re.findall(r"<(?!/?code>)[a-z/!]", re.sub(r"`[^`]*`", "", built[2]))
    assert not raw  # <code> is the only HTML in the source
    for block in re.findall(r"(?:^\|.*\n)+", built[2], re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_texts_stay_out_when_the_study_says_so(study: parameters.Params) -> None:
    report.build(study.model_copy(update={"report": parameters.ReportConfig(resamples=100, texts=False)}))
    for path in paths.report_dir("toy").rglob("*"):
        if path.is_file():
            for word in (b"evil", b"They greet", b"Person1"):
                assert word not in path.read_bytes(), path
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "### Dialogue t" in text


def test_examples_are_the_largest_falls_and_seeded_ones(study: parameters.Params) -> None:
    data = inputs.read(study)
    picked = examples.chosen(data)
    falls = np.maximum(*(column("full", "toxicity_judge") - column(name, "toxicity_judge") for name in ("ppo", "dpo")))
    assert {f"t{k}" for k in np.argsort(-falls)[:2]} <= set(picked)
    assert len(set(picked)) == 4
    assert picked == examples.chosen(data) == sorted(picked, key=lambda i: int(i[1:]))


def test_strangers_are_named_and_left_out(study: parameters.Params) -> None:
    rows = storage.read_scores("ppo")
    storage.write_rows(paths.scores_path("ghost"), rows)
    storage.write_json(paths.cost_path("train", "ghost"), {"wall_seconds": 1e6})
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


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("scores/ppo.jsonl", '{"id": "t0"', "scores/ppo.jsonl line 1: the line: Invalid JSON"),
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
        ("costs/train/ppo.json", "[]", "costs/train/ppo.json must hold a JSON object"),
        ("costs/train/ppo.json", '{"wall_seconds": NaN}', "costs/train/ppo.json is not valid JSON"),
        ("costs/train/ppo.json", '{"wall_seconds": 1e999}', "costs/train/ppo.json is not valid JSON"),
        ("costs/train/ppo.json", "[" * 100_000, "costs/train/ppo.json is not valid JSON"),
        ("costs/data/data.json", '{"test_dropped": "1"}', "costs/data/data.json: test_dropped: must be a number"),
        (
            "costs/check/inputs.json",
            '{"lengths": []}',
            "costs/check/inputs.json: lengths: Input should be a valid dict",
        ),
        (
            "costs/check/inputs.json",
            '{"lengths": {"base": {"test": {"rows": 0}}}}',
            "lengths.base.test.rows: Input should",
        ),
        ("costs/train/ppo.json", '{"wall_seconds": "1"}', "costs/train/ppo.json: wall_seconds: must be a number"),
        (
            "costs/train/ppo.json",
            '{"total_parameters": -1}',
            "costs/train/ppo.json: total_parameters: must be a number",
        ),
    ],
)
def test_what_somebody_edited_is_named(study: parameters.Params, place: str, content: str, message: str) -> None:
    Path(place).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=re.escape(message)):
        report.build(study)
    assert not paths.report_dir("toy").exists()


def test_what_the_limits_cut_off_is_counted_by_variant_and_by_split(study: parameters.Params) -> None:
    rows = storage.read_predictions("ppo")
    cut = [row.model_copy(update={"hit_limit": k < 6, "source_truncated": k < 3}) for k, row in enumerate(rows)]
    samples = [row.model_copy(update={"output": "sample", "hit_limit": k == 0}) for k, row in enumerate(rows)]
    storage.write_rows(paths.predictions_path("ppo"), [*cut, *samples])
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Limits")
    assert "does not fit into 512 tokens" in text and "ended after 128 tokens" in text
    cells = {tuple(part.strip() for part in line.strip("|").split("|")) for line in text.splitlines() if "|" in line}
    assert ("ppo", "24", "3 (12.5 %)", "6 (25.0 %)", "1 (4.2 %)") in cells
    assert ("dpo", "24", "0 (0.0 %)", "0 (0.0 %)", "–") in cells
    assert ("train", "base", "12,426", "621 (5.0 %)", "3 (0.02 %)", "34") in cells


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


def test_a_small_study_without_human_alignment_or_toxicity(workdir: Path) -> None:
    params = fabricate(n=3, samples=0, systems=(*START, "lead-3"))
    few = {name: params.variants[name] for name in ("baseline", "full")}
    report.build(params.model_copy(update={"variants": few, "metrics": {"rouge": params.metrics["rouge"]}}))
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "human" not in section_of(text, "Results").split("`human`")[0]
    assert "What alignment changed" not in text
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
    found = json.loads((paths.report_dir("toy") / "metrics.json").read_text())
    assert found["changes"]["ppo"]["toxicity_judge"]["difference"] == 0
    assert "mean_improvement" not in found["changes"]["ppo"]["toxicity_judge"]
    assert "se" not in found["variants"]["ppo"]["rouge1"]
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", text)
    assert "identical" in text


def test_a_column_that_lacks_dialogues_is_compared_on_the_common_ones(study: parameters.Params) -> None:
    rows = storage.read_scores("ppo")
    kept = [r for r in rows if not (r.metric == "kl" and r.output == "sample" and r.id in ("t1", "t2"))]
    storage.write_rows(paths.scores_path("ppo"), kept)
    metrics, _ = estimates.measure(inputs.read(study))
    assert metrics["variants"]["ppo"]["kl_base_sampled"]["n"] == 22
    found = metrics["changes"]["ppo"]["kl_base_sampled"]
    kept_places = [k for k in range(24) if k not in (1, 2)]
    gaps = column("ppo", "kl_base_sampled") - column("full", "kl_base_sampled")[kept_places]
    assert found["n"] == 22
    assert found["difference"] == pytest.approx(gaps.mean(), rel=1e-5)


def test_pictures_are_small_and_carry_their_data(built: Built) -> None:
    for path in (built[0] / "plots").glob("*.png"):
        assert path.stat().st_size < 150_000
        assert b"tEXtSoftware" not in path.read_bytes()
        assert f"](plots/{path.name})" in built[2]
    with (built[0] / "plots" / "tradeoff.csv").open(newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert float(rows["ppo"]["rouge1"]) == built[1]["variants"]["ppo"]["rouge1"]["value"]


def test_provenance_names_settings_models_versions_and_seeds(study: parameters.Params) -> None:
    YAML().dump({"study": "toy"}, paths.PARAMS)
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Provenance")
    assert storage.sha256_file(paths.PARAMS) in text
    assert storage.sha256_file(paths.split_path("test")) in text
    assert "tiny/one" in text
    assert f"numpy {np.__version__}" in text
    assert "Toy GPU" in text
    assert "not a git commit" in text
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"], check=True
    )
    report.build(study)
    text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Provenance")
    assert re.search(r"[0-9a-f]{40}, with uncommitted changes", text)


def test_published_figures_say_when_they_are_of_another_model_or_dataset(study: parameters.Params) -> None:
    same = {"data": DatasetConfig(dataset="dialogsum")}
    same |= {"checkpoints": study.checkpoints | {"base": Base(source="hub", model="google/flan-t5-base")}}
    for changes, note in (({}, "another model, another dataset"), (same, "")):
        report.build(study.model_copy(update=changes))
        text = section_of((paths.report_dir("toy") / "report.md").read_text(), "Published figures beside ours")
        line = next(line for line in text.splitlines() if line.startswith("| full fine-tune ") and "Table 4.1" in line)
        assert line.rstrip(" |").endswith(note if note else "33.8")
        assert "42.2" in line


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
