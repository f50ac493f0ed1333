"""report.md as a page: its order, its escapes, and no text where the study keeps texts out."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from bench import report
from bench.core import parameters, paths
from tests.report.toy import Built, section_of


def test_the_verdict_on_the_reward_stands_in_metrics_and_after_what_alignment_changed(built: Built) -> None:
    verdict = "less toxic by the judge that training never saw"  # the fabricated scores fall for both
    assert {variant: facts["verdict"] for variant, facts in built[1]["panel"].items()} == {
        "ppo": verdict,
        "dpo": verdict,
    }
    titles = re.findall(r"^## (.*)$", built[2], re.M)
    assert titles[titles.index("What changed") + 1] == "Is the reward being gamed?"


def test_verdicts_table_and_picture_come_first_and_the_rest_is_folded(built: Built) -> None:
    results = section_of(built[2], "Results")
    places = [results.index(mark) for mark in ("- `baseline`", "- `dpo`", "|  | ROUGE-1 |", '<img src="plots/tradeoff')]
    assert places == sorted(places)
    assert "| Toxicity (judge) (%) | Toxicity (reward) (%) | KL to start (nats) | trained |" in results
    shown = re.sub(r"<details>.*?</details>", "", built[2], flags=re.S)
    assert built[2].count("<details>") == built[2].count("</details>") == built[2].count("<summary>") >= 14
    assert "`toxicity_judge|" not in shown and "Dialogue t" not in shown
    assert len(shown.splitlines()) < 120  # of some 330


def test_report_renders_without_foreign_markup(built: Built) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(built[2])
    assert "\x1b" not in html
    assert "<script" not in html
    assert 'href="http://x.y"' not in html
    assert "<strong>bold" not in html
    assert html.count("<h1>") == 1
    raw = re.findall(r"<(?!/?(?:code|details|summary)>)[a-z/!][^>]*>?", re.sub(r"`[^`]*`", "", built[2]))
    assert all(re.fullmatch(r'<img src="plots/[a-z]+\.png" width="\d+" alt="[a-z ,]+">', tag) for tag in raw)
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
