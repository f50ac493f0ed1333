"""From folders of judgements to the report: expected figures from scipy and loops, broken files one sentence each."""

from __future__ import annotations

import argparse
import csv
import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

import bench.metrics
from bench.commands import metrics_check as command
from bench.core.schema import UserError
from bench.correlations import Agreement
from bench.judgements import output, study
from bench.judgements.study import Measured, Preferred, Ranked
from bench.metrics import Column, bertscore, rouge
from bench.stats import Estimate
from tests.judgements.conftest import DIALOGUES, SYSTEMS

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".." / "shared" / "data"


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "dialsummeval.jsonl").read_text().splitlines()]


def test_rouge_by_system_and_by_summary_is_that_of_a_loop(folder: Path) -> None:
    rows = records(folder)
    own = {row["id"]: row["summary"] for row in rows if row["model_id"] == "A"}
    value, rating = np.zeros((DIALOGUES, 9)), np.zeros((DIALOGUES, 9))
    for row in rows:
        if row["model_id"] != "A":
            place = int(row["id"][1:]), SYSTEMS.index(row["model_id"]) - 1
            value[place] = rouge.rouge_rows([row["summary"]], [[own[row["id"]]]], rouge.Config())[0]["rouge1"]
            rating[place] = np.mean([one["relevance"] for one in row["annotations"]])
    (ranked, _) = study.measure(folder).ranked
    found = ranked.agreements["relevance"]["rouge1"]
    assert (ranked.dialogues, ranked.systems, ranked.raters) == (DIALOGUES, 9, 3)
    by_system = scipy_stats.kendalltau(value.mean(axis=0), rating.mean(axis=0)).statistic
    assert found.system_kendall.value == pytest.approx(by_system)
    within = [scipy_stats.spearmanr(a, b).statistic for a, b in zip(value, rating, strict=True)]
    assert found.summary_spearman.value == pytest.approx(np.mean(within))


def test_the_ceiling_is_each_rater_against_the_mean_of_the_others(folder: Path) -> None:
    rows = [row for row in records(folder) if row["model_id"] != "A"]
    single = np.array([[one["fluency"] for one in row["annotations"]] for row in rows]).reshape(DIALOGUES, 9, 3)
    want = []
    for rater in range(3):
        others = np.delete(single, rater, axis=2).mean(axis=2)
        want += [scipy_stats.spearmanr(single[k, :, rater], others[k]).statistic for k in range(DIALOGUES)]
    ranked = study.measure(folder).ranked[0]
    assert ranked.ceilings["fluency"].summary_spearman.value == pytest.approx(np.nanmean(want))


def test_faceval_counts_kinds_of_error_and_fewer_is_better(folder: Path) -> None:
    with (folder / "faceval.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["Model"] != "human_ref"]
    kinds = ("SubObjE", "ProE", "NegE", "ParE", "HalE", "OtherE")
    errors, words = np.zeros((DIALOGUES, 3)), np.zeros((DIALOGUES, 3))
    systems = sorted({row["Model"] for row in rows})
    for row in rows:
        place = int(row["DocID"][1:]), systems.index(row["Model"])
        errors[place], words[place] = sum(row[kind] == "yes" for kind in kinds), len(row["Summary"].split())
    found = study.measure(folder).ranked[1].agreements["fewer kinds of factual error"]["words"]
    within = [scipy_stats.kendalltau(a, -b).statistic for a, b in zip(words, errors, strict=True)]
    assert found.summary_kendall.value == pytest.approx(np.nanmean(within))
    assert np.isnan(found.system_spearman.low)  # three systems


def test_corrections_are_the_changed_pairs_of_safe_groups(folder: Path) -> None:
    groups = json.loads((folder / "factcorr_aligned.json").read_text())
    texts = {}
    for line in (folder / "dialogsum.test.jsonl").read_text().splitlines():
        row = json.loads(line)
        texts[row["fname"]] = [row[f"summary{k}"] for k in (1, 2, 3)]
    won = []
    for group in groups[1:DIALOGUES]:  # test_0 is the dialogue of two groups
        pair, references = group["rows"][0], texts[group["fname"]]
        old, new = rouge.rouge_rows([pair["summary"], pair["corrected"]], [references] * 2, rouge.Config())
        gap = round(new["rouge2"] - old["rouge2"], 12)
        won.append(0.5 if gap == 0 else float(gap > 0))
    found = study.measure(folder).preferred
    assert found is not None
    assert (found.pairs, found.dialogues) == (DIALOGUES - 1, DIALOGUES - 1)
    assert found.shares["rouge2"].value == pytest.approx(np.mean(won))


def test_the_report_has_every_part_and_no_text_of_the_judged(folder: Path, workdir: Path) -> None:
    assert command.run(arguments(str(folder), "--out", "out")) == 0
    page, found = Path("out/metrics-check.md").read_text(), json.loads(Path("out/metrics-check.json").read_text())
    for title in ("DialSummEval", "FacEval", "DialSummFactCorr"):
        assert f"\n## {title}\n" in page
    assert page.count("**one rater** |") == 4
    assert page.count("| Words (the length alone) |") == 6
    assert found["sentence"] and found["sentence"].endswith(".") and "\n" not in found["sentence"]
    for row in records(folder):
        assert row["summary"] not in page and row["dialogue"] not in json.dumps(found)
    command.run(arguments(str(folder), "--out", "again"))
    for name in ("metrics-check.md", "metrics-check.json"):
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()


def test_a_part_alone_is_measured_alone(folder: Path) -> None:
    for name in ("dialsummeval.jsonl", "factcorr_aligned.json"):
        (folder / name).unlink()
    found = study.measure(folder)
    assert [given.name for given in found.ranked] == ["FacEval"] and found.preferred is None
    assert "## DialSummFactCorr" not in output.markdown(found)


METRIC = """
from bench.core.schema import ScoreRow, Strict, UserError
from bench.metrics import Column

class Config(Strict):
    pass

def columns(config):
    return {"vowels": Column(title="Vowels", unit="ratio", higher_is_better=%(better)s, role="quality", classifier=%(model)r)}

def signature(config, context):
    return {"vowels": "vowels|1"}

def score(config, context):
    if %(refuses)s:
        raise UserError("these texts are not of the grammar.")
    return [
        ScoreRow(id=p.id, dialogue_id=p.dialogue_id, output="greedy", draw=p.draw, metric="vowels",
                 values={"vowels": float(sum(letter in "aeiou" for letter in p.text))})
        for p in context.predictions
    ]
"""


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Add a metric that counts vowels as a plugin."""
    (tmp_path / "plugins").mkdir()
    monkeypatch.setattr(bench.metrics, "__path__", [*bench.metrics.__path__, str(tmp_path / "plugins")])

    def adding(better: bool = True, model: str | None = None, refuses: bool = False) -> None:
        content = METRIC % {"better": better, "model": model, "refuses": refuses}
        (tmp_path / "plugins" / "vowels.py").write_text(content)
        importlib.invalidate_caches()

    yield adding
    importlib.sys.modules.pop("bench.metrics.vowels", None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("better", [True, False])
def test_a_metric_that_is_added_stands_in_the_tables_by_its_columns_alone(
    folder: Path, add: Callable[..., None], better: bool
) -> None:
    add(better=better)
    page = output.markdown(study.measure(folder))
    assert page.count("| Vowels |" if better else "| Vowels (its negative) |") == 6


def test_a_metric_of_a_model_or_that_refuses_is_left_out(folder: Path, add: Callable[..., None]) -> None:
    add(refuses=True)
    found = study.measure(folder)
    assert found.refused["vowels"] == "these texts are not of the grammar."
    assert "only the dataset 'miniature'" in found.refused["facts"]  # by the contract's own check
    assert "left out `vowels`" in output.markdown(found)
    importlib.sys.modules.pop("bench.metrics.vowels")  # type: ignore[attr-defined]
    add(model="reward-of-mine")
    assert "vowels" not in study.measure(folder).columns


def test_a_metric_of_the_study_that_needs_a_model_is_measured_too(
    folder: Path, workdir: Path, reward_template: Path
) -> None:
    raw = (ROOT / "studies" / "miniature.yaml").read_text()
    params = raw.replace("\nmetrics:\n", "\nmetrics:\n  bertscore: {checkpoint: reward, layer: 1}\n", 1)
    Path("params.yaml").write_text(params)
    folder, out = folder.absolute(), Path("out")
    with pytest.raises(UserError, match=r"metrics\.bertscore: models/reward is not there; run `dvc repro`"):
        command.run(arguments(str(folder), "--study", "--out", "out"))
    shutil.copytree(reward_template, "models/reward")
    plain = study.measure(folder)
    command.run(arguments(str(folder), "--study", "--out", "out"))
    found = json.loads((out / "metrics-check.json").read_text())
    agreements = found["ranked"]["DialSummEval"]["targets"]["fluency"]
    assert agreements.keys() - plain.ranked[0].agreements["fluency"].keys() == {
        "bertscore",
        "bertscore_precision",
        "bertscore_recall",
    }
    assert found["sentence"] == output.sentence(plain), "it is about ROUGE"
    assert "bert@" in found["signatures"]["bertscore"]
    # The same by the metric itself: one number a summary, its rank correlation within each dialogue by scipy.
    rows, each = records(folder), []
    for dialogue in sorted({row["id"] for row in rows}):
        own = [row for row in rows if row["id"] == dialogue]
        reference = next(row["summary"] for row in own if row["model_id"] == "A")
        others = [row for row in own if row["model_id"] != "A"]
        encoder = bertscore.Encoder("reward", 1, "cpu")
        states = encoder.states([reference, *(row["summary"] for row in others)], 8)
        scores = [round(bertscore.match(one, states[0])[2], 12) for one in states[1:]]
        ratings = [np.mean([rating["fluency"] for rating in row["annotations"]]) for row in others]
        each.append(scipy_stats.spearmanr(scores, ratings).statistic)
    assert agreements["bertscore"]["summary_spearman"]["value"] == pytest.approx(np.mean(each), abs=1e-4)


def agreement(value: float, low: float) -> Agreement:
    one = Estimate(value, low, 2 * value - low)
    return Agreement(one, one, one, one, one, one, 10)


def measured(share: Estimate) -> Measured:
    columns = {
        "r": Column(title="ROUGE-9", unit="points", higher_is_better=True, role="quality"),
        "w": Column(title="Words", unit="words", higher_is_better=None),
    }
    figures = {"near": (0.4, 0.3, 0.1), "far": (0.2, 0.1, 0.3), "none": (0.1, -0.1, 0.0)}
    ranked = Ranked(
        "X",
        9,
        9,
        3,
        {name: {"r": agreement(a, b), "w": agreement(c, 0.0)} for name, (a, b, c) in figures.items()},
        {name: agreement(0.6, 0.5) for name in figures},
        (),
    )
    return Measured(columns, {}, {}, (ranked,), Preferred(7, 5, {"r": share}, ()))


def test_the_sentence_follows_the_figures() -> None:
    want = (
        "Among summaries of one dialogue, a point of ROUGE-9 goes with 0.100 to 0.400 points of a rating from 1 to 5; it is "
        "evidence of near (ρ 0.40 [0.30, 0.50], one rater 0.60), weak evidence of far (ρ 0.20 [0.10, 0.30], one rater 0.60; the number of words alone reaches 0.30 for far) and not shown "
        "to be evidence of none (ρ 0.10 [-0.10, 0.30], one rater 0.60) and of correct facts (it prefers the human correction "
        "to the wrong summary in 50.0 % [40.0, 60.0] of 7 pairs)."
    )
    assert output.sentence(measured(Estimate(0.5, 0.4, 0.6))) == want
    better = output.sentence(measured(Estimate(0.7, 0.6, 0.8)))
    assert (
        "0.30 for far) and of correct facts (it prefers the human correction to the wrong summary in 70.0 %" in better
    )
    assert output.sentence(Measured({}, {}, {})) == ""


def edit(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change the first record of a file."""
    path = folder / name
    if name.endswith(".csv"):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        first = dict(zip(rows[0], rows[1], strict=True))
        change(first)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([list(first), list(first.values()), *rows[2:]])
    elif name.endswith(".jsonl"):
        lines = path.read_text().splitlines()
        first = json.loads(lines[0])
        change(first)
        path.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    else:
        groups = json.loads(path.read_text())
        change(groups[0])
        path.write_text(json.dumps(groups))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dialsummeval.jsonl", lambda row: row.pop("summary"), "line 1: summary: Field required"),
        ("dialsummeval.jsonl", lambda row: row.update(dialogue=" "), "line 1: dialogue: Value error, is empty"),
        (
            "dialsummeval.jsonl",
            lambda row: row["annotations"][1].update(fluency=6),
            "line 1: annotations.1.fluency: Input should be less than or equal to 5",
        ),
        ("dialsummeval.jsonl", lambda row: row["annotations"].pop(), "annotations: 2 to 3 raters a summary"),
        ("dialsummeval.jsonl", lambda row: row.update(model_id="B"), "dialogue 'd0' has 0 summaries of system 'A'"),
        ("faceval.csv", lambda row: row.update(ProE="maybe"), "line 2: ProE: Input should be 'yes' or 'no'"),
        ("faceval.csv", lambda row: row.update(DocID="f99"), "has 0 summaries of system"),
        ("factcorr_aligned.json", lambda row: row.update(ratio="2"), "group 0: ratio: Input should be a valid number"),
        (
            "factcorr_aligned.json",
            lambda row: row["rows"][0].pop("corrected"),
            "group 0: rows.0.corrected: Field required",
        ),
        ("factcorr_aligned.json", lambda row: row.update(fname="test_77"), "fname 'test_77' is missing"),
        ("dialogsum.test.jsonl", lambda row: row.pop("summary3"), "line 1: summary3: Field required"),
    ],
)
def test_a_broken_file_is_one_clear_sentence(
    folder: Path, workdir: Path, name: str, change: Callable[[Any], None], message: str
) -> None:
    edit(folder, name, change)
    with pytest.raises(UserError) as caught:
        command.run(arguments(str(folder)))
    assert str(folder / name) in str(caught.value) or "test_77" in message
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert any(fix in str(caught.value) for fix in ("fetch the file again", "name DialogSum's test file"))
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dialsummeval.jsonl", b"{\n", "line 1: not readable"),
        ("faceval.csv", b"\xff\xfe", "not CSV in UTF-8"),
        ("faceval.csv", b"DocID,Model\n", "needs system 'human_ref'"),
        ("factcorr_aligned.json", b"{", "is not valid JSON"),
        ("factcorr_aligned.json", b"{}", "must hold a list of groups"),
        ("dialogsum.test.jsonl", None, "cannot be read (No such file or directory)"),
    ],
)
def test_an_unreadable_file_is_one_clear_sentence(folder: Path, name: str, content: bytes | None, message: str) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        study.measure(folder)
    assert str(folder / name) in str(caught.value) and message in str(caught.value)


def test_a_folder_without_judgements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"holds none of dialsummeval\.jsonl, faceval\.csv, factcorr_aligned\.json; name"
    ):
        study.measure(tmp_path)


def test_the_committed_report_is_that_of_the_judgements(workdir: Path) -> None:
    dialogues = SHARED / "dialogsum" / "dialogsum.test.jsonl"
    if not (SHARED / "human").is_dir() or not dialogues.exists():
        pytest.skip("../shared/data/human is not here: the committed figures are not made again")
    command.run(arguments(str(SHARED / "human"), "--dialogues", str(dialogues), "--out", "out"))
    found = json.loads(Path("out/metrics-check.json").read_text())
    shares = {key: found["corrections"]["preferred"][key]["value"] for key in ("rouge1", "rouge2", "rougeL")}
    assert found["corrections"]["pairs"] == 157  # and the shares of a first trial, by other code
    assert shares == pytest.approx({"rouge1": 0.487, "rouge2": 0.452, "rougeL": 0.462}, abs=5e-4)
    committed = json.loads((ROOT / "reports" / "metrics-check.json").read_text())
    assert found["files"] == committed["files"] and found["sentence"] == committed["sentence"]
    assert found["ranked"].keys() == committed["ranked"].keys()
    for name, given in found["ranked"].items():
        for target, agreements in given["targets"].items():
            all_of_them = committed["ranked"][name]["targets"][target]
            assert {key.partition("_")[0] for key in all_of_them.keys() - agreements.keys()} == {"bertscore"}
            for key, figures in agreements.items():
                theirs = all_of_them[key]["summary_spearman"]["value"]
                assert figures["summary_spearman"]["value"] == pytest.approx(theirs, abs=1e-5)


def test_the_sentence_that_reports_print_is_the_report_s() -> None:
    committed = json.loads((ROOT / "reports" / "metrics-check.json").read_text())
    assert json.loads(output.RECORD.read_text()) == {"sentence": committed["sentence"]}
