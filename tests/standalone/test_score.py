"""Scores without a study: every format, what tells columns, the figures against independent code, what is wrong in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import scipy.stats

import bench
from bench import cli, stats
from bench.core.schema import UserError
from bench.standalone import Columns, inputs
from tests.hub_server import Hub

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
N = 40
WORDS = "ann bob meets greets leaves the a park office at noon today and then sees him her again".split()
RNG = np.random.default_rng(5)
REFERENCES = [[" ".join(RNG.choice(WORDS, 12)) for _ in range(2)] for _ in range(N)]
GOOD = [f"{a} {' '.join(RNG.choice(WORDS, 2))}" for a, _ in REFERENCES]
BAD = [" ".join(RNG.choice(WORDS, 9)) for _ in range(N)]


def table(texts: list[str], key: str = "summary") -> list[dict[str, Any]]:
    return [{"id": f"d{k}", key: text} for k, text in enumerate(texts)]


@pytest.fixture
def files(workdir: Path) -> dict[str, Path]:
    references = [
        {"id": f"d{k}", "dialogue": f"A: {a} B: {b}", "summary1": a, "summary2": b}
        for k, (a, b) in enumerate(REFERENCES)
    ]
    pandas.DataFrame(references).to_json("references.jsonl", orient="records", lines=True)
    pandas.DataFrame(table(GOOD)).to_csv("good.csv", index=False)
    pandas.DataFrame(table(BAD)[::-1]).to_parquet("bad.parquet")
    return {
        name: Path(file)
        for name, file in (("references", "references.jsonl"), ("good", "good.csv"), ("bad", "bad.parquet"))
    }


def test_values_differences_and_rows_are_those_of_independent_code(files: dict[str, Path]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    found = bench.score([files["good"], files["bad"]], files["references"], resamples=2000)
    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    expected = {
        name: np.array(
            [
                np.mean([scorer.score(r, text)["rouge1"].fmeasure for r in both])
                for both, text in zip(REFERENCES, texts, strict=True)
            ]
        )
        for name, texts in (("good", GOOD), ("bad", BAD))
    }
    for name, values in expected.items():
        row = found.values.query(f"system == {name!r} and column == 'rouge1'").iloc[0]
        half = scipy.stats.t.ppf(0.975, N - 1) * values.std(ddof=1) / N**0.5
        assert (row["value"], row["low"], row["n"]) == pytest.approx((values.mean(), values.mean() - half, N))
        assert found.rows.query(f"system == {name!r}")["rouge1"].tolist() == pytest.approx(values.tolist())
    gap = expected["bad"] - expected["good"]
    row = found.differences.query("column == 'rouge1'").iloc[0]
    assert (row["system"], row["against"], row["changed"]) == ("bad", "good", N)
    assert row["difference"] == pytest.approx(gap.mean()) and row["p"] == stats.sign_flip(gap, 2000)[0] < 0.001
    assert found.differences["p_holm"].tolist() == stats.holm(found.differences["p"].to_numpy()).tolist()
    assert {"rouge1", "rougeLsum", "words", "copy_rate", "empty"} <= set(found.columns) == set(found.signatures)
    assert "hit_limit" not in found.columns and "refs:2,mean" in found.signatures["rouge1"]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt"])
def test_every_format_gives_the_same(files: dict[str, Path], ending: str) -> None:
    frame = pandas.DataFrame(table(GOOD))
    path = Path(f"again{ending}")
    if ending in (".jsonl", ".json"):
        frame.to_json(path, orient="records", lines=ending == ".jsonl")
    elif ending == ".parquet":
        frame.to_parquet(path)
    elif ending == ".txt":
        path.write_text("\n".join(GOOD) + "\n")
    else:
        frame.to_csv(path, index=False, sep="," if ending == ".csv" else "\t")
    found = bench.score([files["good"], path], files["references"], resamples=200)
    assert found.differences["changed"].max() == 0 and (found.differences["p_holm"] == 1).all()


def test_texts_alone_and_columns_of_other_names(files: dict[str, Path]) -> None:
    texts = bench.score({"good": GOOD}, REFERENCES, resamples=200)
    assert "copy_rate" not in texts.columns and texts.differences.empty
    from_files = bench.score([files["good"]], files["references"], resamples=200)
    for one in (files["good"], str(files["good"])):  # a file alone is no sequence of letters
        assert bench.score(one, files["references"], resamples=200).values.equals(from_files.values)
    same = texts.values.merge(from_files.values, on=["system", "column"])
    assert len(same) == len(texts.values) and same["value_x"].tolist() == pytest.approx(same["value_y"].tolist())
    pandas.DataFrame([{"nr": k, "gist": a} for k, (a, _) in enumerate(REFERENCES)]).to_csv("r.csv", index=False)
    pandas.DataFrame([{"nr": k, "mine": text} for k, text in enumerate(GOOD)]).to_csv("s.csv", index=False)
    found = bench.score(["s.csv"], "r.csv", columns=Columns(id="nr", summary="mine", reference="gist"), resamples=200)
    assert "refs:1,mean" in found.signatures["rouge1"]


def test_a_classifier_is_asked_only_when_it_is_named(files: dict[str, Path], reward_template: Path) -> None:
    from bench.classifiers import loading

    found = bench.score([files["good"]], files["references"], toxicity=reward_template, resamples=200)
    classifier = loading.load_folder("x", reward_template, "cpu")
    expected = classifier.probabilities(GOOD)[:, classifier.column("hate")]
    assert found.rows["toxicity"].tolist() == pytest.approx(expected.tolist())
    assert "P(hate)" in found.signatures["toxicity"]
    with pytest.raises(UserError, match="--toxic: the classifier's labels are nothate, hate; say which"):
        bench.score([files["good"]], files["references"], toxicity=reward_template, toxic="bad")
    with pytest.raises(UserError, match="--toxicity: nowhere is no folder"):
        bench.score([files["good"]], files["references"], toxicity="nowhere")


def test_a_classifier_without_a_tokenizer_scores_nothing(files: dict[str, Path], reward_template: Path) -> None:
    """transformers would make an empty tokenizer, and every text would be unknown words."""
    folder = Path("bare")
    folder.mkdir()
    for path in reward_template.iterdir():
        if not path.name.startswith(("tokenizer", "vocab", "special")):
            shutil.copy(path, folder)
    with pytest.raises(UserError, match=r"^bare holds no tokenizer .*; save the model's own there"):
        bench.score([files["good"]], files["references"], toxicity=folder)


def test_the_commands_print_all_formats(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(files["good"]), str(files["bad"]), "--references", str(files["references"]), "--resamples", "500"]
    for format, mark in (("terminal", "ROUGE-1"), ("markdown", "| ROUGE-1 |"), ("json", '"signatures"')):
        for command in ("score", "compare"):
            assert cli.main([command, *words, "--format", format]) == 0
            out = capsys.readouterr().out
            assert mark in out or command == "compare"
            if format == "json":
                assert {"values", "signatures"} <= json.loads(out).keys()
            elif command == "compare":
                assert "▼ worse" in out and "hanged most by rouge1" in out and GOOD[0].split()[0] in out
    assert cli.main(["compare", *words, "--by", "rouge9"]) == 1
    assert "no column 'rouge9'; name one of: rouge1" in capsys.readouterr().err
    assert cli.main(["compare", words[0], *words[2:]]) == 1
    assert "name two or more" in capsys.readouterr().err


def changed(path: str, change: Callable[[pandas.DataFrame], pandas.DataFrame]) -> str:
    change(pandas.DataFrame(table(GOOD))).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.iloc[1:], r"s\.csv: 1 of 40 references have no summary, the first is 'd0'"),
        (lambda f: pandas.concat([f, f.iloc[:1]]), r"s\.csv line 42: a second summary of 'd0'"),
        (lambda f: f.replace("d3", "x3"), r"s\.csv line 5: references hold no 'x3'"),
        (
            lambda f: f.rename(columns={"summary": "sum"}),
            r"none of the columns id, sum is known to hold the summary; .* --columns summary=NAME",
        ),
        (lambda f: f[["summary"]].iloc[1:], r"s\.csv: 39 summaries, and there are 40 references"),
        (lambda f: f.iloc[:0], r"s\.csv holds no row"),
    ],
)
def test_what_is_wrong_with_summaries_is_one_sentence(files: dict[str, Path], change: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        bench.score([changed("s.csv", change)], files["references"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": "a", "summary": ""}', r"r\.jsonl line 1: field 'summary' must hold text"),
        ('{"id": "a", "summary": "x"}\n{"id": "a", "summary": "y"}', r"line 2: the id 'a' stands in line 1 too"),
        ('{"id": "a", "references": []}', r"field 'references': must be a list of texts"),
        (
            '{"id": "a", "gist": "x"}',
            r"none of the columns id, gist is known to hold the reference; .* --columns reference=NAME",
        ),
        ("[1]", r"line 1: not an object with fields"),
        ("{", r"r\.jsonl line 1: "),
        ("", r"r\.jsonl holds no row"),
    ],
)
def test_what_is_wrong_with_references_is_one_sentence(workdir: Path, content: str, said: str) -> None:
    Path("r.jsonl").write_text(content)
    with pytest.raises(UserError, match=said):
        bench.score({"x": ["a"]}, "r.jsonl")


def test_nothing_heavy_is_loaded_without_a_classifier(files: dict[str, Path]) -> None:
    code = (
        "import sys; from bench import cli; "
        f"cli.main(['score', {str(files['good'])!r}, '--references', {str(files['references'])!r}, '--resamples', '200']); "
        "assert not {'torch', 'transformers', 'matplotlib', 'dvc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is not here: DialogSum and its BART outputs")
def test_bart_on_dialogsum_has_its_published_figure(workdir: Path) -> None:
    rows = [json.loads(line) for line in (SHARED / "dialogsum" / "dialogsum.test.jsonl").read_text().splitlines()]
    pandas.DataFrame([{"summary": row["summary1"]} for row in rows]).to_csv("first.csv", index=False)
    outputs = SHARED / "dialogsum" / "bart_baseline_test_output.txt"
    found = bench.score([outputs], "first.csv", resamples=200).values.query("column == 'rouge1'")["value"].iloc[0]
    assert f"{100 * found:.3f}" == "45.909"


def test_a_classifier_of_the_hub_is_named_by_repository_and_commit(
    files: dict[str, Path], reward_template: Path, hub_here: Hub
) -> None:
    held = {path.name: path.read_bytes() for path in reward_template.iterdir()}
    hub_here.add("model", "owner/judge", "a" * 40, held)
    here = bench.score([files["good"]], files["references"], toxicity=reward_template, resamples=200)
    for name in (f"owner/judge@{'a' * 40}", "owner/judge"):
        found = bench.score([files["good"]], files["references"], toxicity=name, resamples=200)
        assert found.rows["toxicity"].tolist() == here.rows["toxicity"].tolist()
        assert found.signatures["toxicity"] == here.signatures["toxicity"]
    with pytest.raises(UserError, match="--toxicity: model 'owner/none' of the hub: there is no such model"):
        bench.score([files["good"]], files["references"], toxicity="owner/none")


def test_bleu_and_chrf_on_request(files: dict[str, Path]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    found = bench.score([files["good"]], files["references"], bleu=True, resamples=200)
    assert "bleu" not in bench.score([files["good"]], files["references"], resamples=200).columns
    row = found.rows.iloc[0]
    example = inputs.read_references(files["references"], Columns())[0]
    expected = sacrebleu.sentence_chrf(row["text"], list(example.references)).score / 100
    assert row["chrf"] == pytest.approx(expected) and found.signatures["bleu"].startswith("bleu|sacrebleu|nrefs:")
