"""The page of all summaries: what it holds, that hostile text stays text, and what it does in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import cli, report, viewer
from bench.core import parameters, paths, storage
from bench.core.schema import UserError
from bench.report import plots
from tests.report.toy import GIVEN, START, fabricate

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed (apt-get install chromium)")
HOSTILE = "</script><script>document.title='pwned'</script><!-- <img src=x onerror=\"document.title='pwned'\"> \u202eRTL \u2028 &amp; ${x}"


@pytest.fixture
def study(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """A fabricated study with its report; the summaries of two dialogues are hostile, those of `ppo` differ in a word."""
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    params = fabricate(n=12, samples=0)
    for name in START:
        rows = storage.read_predictions(name)
        texts = [
            HOSTILE if k in (3, 4) else f"They greet {k} {'warmly' if name == 'ppo' else 'kindly'} today."
            for k in range(12)
        ]
        texts[5] = ""
        storage.write_rows(
            paths.predictions_path(name),
            [row.model_copy(update={"text": text}) for row, text in zip(rows, texts, strict=True)],
        )
    report.build(params)
    return params


def embedded(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    return found


def test_the_page_holds_every_text_and_score_of_the_study(study: parameters.Params) -> None:
    data = embedded(viewer.build(study))
    assert data["systems"] == [*START, "lead-3"] and data["against"] == "full" and data["slices"] == ["calm", "heated"]
    keys = [column["key"] for column in data["columns"]]
    assert keys[0] == data["primary"] == "rouge1" and {"toxicity_judge", "reward", "words"} <= set(keys)
    assert len(data["dialogues"]) == 12 and data["dialogues"][0]["references"] == ["They greet 0.", GIVEN]
    scores = {row.id: row.values["rouge1"] for row in storage.read_scores("ppo") if "rouge1" in row.values}
    for number, dialogue in enumerate(data["dialogues"]):
        own = dialogue["outputs"][data["systems"].index("ppo")]
        assert own["scores"][0] == pytest.approx(scores[dialogue["id"]], abs=1e-5)
        assert number in (3, 4, 5) or own["text"] == f"They greet {number} warmly today."
    titles = data["front"]["titles"]
    assert titles[:3] == ["", "ROUGE-1", "Toxicity (judge) (%)"] and "KL to start (nats)" in titles
    assert [row[0] for row in data["front"]["rows"]] == ["human", "lead-3", *START]


def test_hostile_text_is_data_and_nothing_else(study: parameters.Params) -> None:
    html = viewer.build(study)
    assert embedded(html)["dialogues"][3]["outputs"][0]["text"] == HOSTILE
    tags: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.append(tag)

    Parser().feed(html)
    assert tags.count("script") == 2 and "img" not in tags
    assert "\u2028" not in html and "http" not in re.sub(
        r'http-equiv="Content-Security-Policy"', "", html.split("<style>")[0]
    )
    assert "default-src 'none'" in html and "unsafe" not in html


def test_texts_that_may_not_be_published_go_where_git_ignores_them(
    study: parameters.Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench import config

    private = study.model_copy(update={"report": study.report.model_copy(update={"texts": False})})
    monkeypatch.setattr(config, "read", lambda: private)
    subprocess.run(["git", "init", "-q"], check=True)
    assert cli.main(["view", "--out", "page.html"]) == 1
    assert (
        "git does not ignore that file; leave --out away" in capsys.readouterr().err and not Path("page.html").exists()
    )
    Path(".gitignore").write_text("/view/\n")
    assert cli.main(["view"]) == 0
    assert "view/toy.html" in capsys.readouterr().out and "They greet" in Path("view/toy.html").read_text()
    monkeypatch.setattr(config, "read", lambda: study)
    assert cli.main(["view", "--out", "page.html"]) == 0 and Path("page.html").exists()


def test_without_a_report_it_says_what_to_run(study: parameters.Params) -> None:
    (paths.report_dir("toy") / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"reports/toy/metrics\.json does not exist; run `dvc repro`"):
        viewer.build(study)


def opened(page: Path, state: str = "") -> str:
    """The document after its script has run, with the state in the address."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [str(BROWSER), *flags, f"{page.resolve().as_uri()}#{state}"], capture_output=True, text=True, timeout=120
    )
    return done.stdout


def listed(dom: str) -> list[str]:
    return re.findall(r'<button type="button" data-id="([^"]+)"', dom)


@needs_browser
def test_it_opens_sorts_filters_searches_and_marks_in_a_browser(study: parameters.Params) -> None:
    page = Path("page.html")
    page.write_text(viewer.build(study), encoding="utf-8")
    data = embedded(page.read_text())
    order = [dialogue["id"] for dialogue in data["dialogues"]]
    plain = opened(page)
    assert 'data-ready="' in plain and listed(plain) == order and "12 of 12 dialogues" in plain
    assert plain.count("<h2>") == 1, "one dialogue is drawn at a time"

    place = data["systems"].index("lora")
    by_score = sorted(data["dialogues"], key=lambda one: -one["outputs"][place]["scores"][0])
    assert listed(opened(page, "sort=rouge1&of=lora")) == [one["id"] for one in by_score]
    assert listed(opened(page, "sort=rouge1&of=lora&up=1")) == [one["id"] for one in by_score[::-1]]
    full = data["systems"].index("full")
    gap = {
        one["id"]: abs(one["outputs"][place]["scores"][0] - one["outputs"][full]["scores"][0])
        for one in data["dialogues"]
    }
    found = listed(opened(page, "sort=changed+most&of=lora&against=full"))
    assert [gap[name] for name in found] == sorted(gap.values(), reverse=True)

    assert listed(opened(page, "slice=heated")) == order[::3]
    assert listed(opened(page, "q=greet+7+warmly")) == [order[7]]
    middle = 100 * by_score[5]["outputs"][place]["scores"][0]
    assert set(listed(opened(page, f"where=rouge1&whose=lora&bound={middle}"))) == {one["id"] for one in by_score[:6]}
    assert "No dialogue is left" in opened(page, "q=nobody+says+this")

    marked = opened(page, f"id={order[7]}&against=full")
    sections = dict(re.findall(r'<section class="system[^>]*data-system="([^"]+)">(.*?)</section>', marked, re.S))
    assert re.findall("<mark>(.*?)</mark>", sections["ppo"]) == ["warmly"]
    assert "<mark>" not in sections["full"] and "<mark>" not in sections["lora"]
    assert "nothing was written" in opened(page, f"id={order[5]}")


@needs_browser
def test_hostile_text_stays_text_in_a_browser(study: parameters.Params) -> None:
    page = Path("page.html")
    page.write_text(viewer.build(study), encoding="utf-8")
    data = embedded(page.read_text())
    dom = opened(page, f"id={data['dialogues'][3]['id']}&against=baseline")
    assert "<title>toy: outputs</title>" in dom and "pwned" in dom
    assert "<img" not in (dom.split('<script id="data"')[0].split("<body>")[1])
    assert "&lt;/script&gt;" in dom
