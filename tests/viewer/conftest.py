"""A fabricated study with its report, for the tests of the page, and the page in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import report, viewer
from bench.core import parameters, paths, storage
from bench.core.schema import Prediction, ScoreRow
from bench.report import plots
from tests.report.toy import START, fabricate
from tests.viewer.browser import BROWSER, Browser, Tab

HOSTILE = (
    "</script><script>document.title='pwned'</script><!-- <img src=x onerror=\"document.title='pwned'\"> "
    "\u202eRTL \u2028 \u2029 &amp; ${x} \\u003c @@SCRIPT@@ \x1b[31m עברית"
)
N = 12


@pytest.fixture
def study(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> parameters.Params:
    """A study of 12 dialogues. `ppo` says another word than the others, the summaries of two dialogues are hostile, of one
    empty; `lora` was trained with two seeds; every variant drew two samples a dialogue.
    """
    monkeypatch.setattr(plots, "draw", lambda view, folder: {})
    params = fabricate(n=N, samples=2)
    lora = params.variants["lora"].model_copy(update={"seeds": (2**62, 7)})
    params = params.model_copy(update={"variants": params.variants | {"lora": lora}})
    for name in START:
        trainings, examples = params.trainings_of(name), storage.read_split("test")
        rows = [
            Prediction(
                id=example.id,
                dialogue_id=example.dialogue_id,
                output=output,
                draw=draw,
                text=text_of(name, k, output, draw, number),
                hit_limit=k == 6,
                seed=training.mark,
            )
            for number, training in enumerate(trainings)
            for output, draw in (("greedy", 0), ("sample", 0), ("sample", 1))
            for k, example in enumerate(examples)
        ]
        storage.write_rows(paths.predictions_path(name), rows)
        scores = storage.read_scores(name)
        storage.write_rows(
            paths.scores_path(name),
            [
                shifted(row, number).model_copy(update={"seed": training.mark})
                for number, training in enumerate(trainings)
                for row in scores
            ],
        )
    held = storage.read_scores("human")
    storage.write_rows(paths.scores_path("human"), [*held, *(second(row) for row in held if row.output == "greedy")])
    report.build(params)
    return params


def text_of(name: str, k: int, output: str, draw: int, training: int) -> str:
    """What a variant wrote of dialogue k."""
    if output == "sample":
        return f"Sample {draw + 1} of {name} about {k}."
    if training:
        return f"Trained again, they greet {k} kindly today."
    return (
        HOSTILE if k in (3, 4) else "" if k == 5 else f"They greet {k} {'warmly' if name == 'ppo' else 'kindly'} today."
    )


def shifted(row: ScoreRow, number: int) -> ScoreRow:
    """The scores of a further training lie a little off."""
    return row.model_copy(update={"values": {key: value + 0.01 * number for key, value in row.values.items()}})


def second(row: ScoreRow) -> ScoreRow:
    """The scores of the second reference, in another order than those of the first."""
    return row.model_copy(update={"draw": 1, "values": {key: 7 * value % 1 for key, value in row.values.items()}})


def embedded(html: str) -> dict[str, Any]:
    """The contents that a page holds, read as a browser reads them: up to the first end of a script element."""
    found = re.search(r'<script id="data" type="application/json">(.*?)</script', html, re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def run_of(data: dict[str, Any], system: str, **wanted: Any) -> dict[str, Any]:
    """A run of a system, greedy unless something else is wanted."""
    runs = next(one["runs"] for one in data["systems"] if one["name"] == system)
    return next(run for run in runs if all(run[key] == value for key, value in ({"output": "greedy"} | wanted).items()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file."""
    if BROWSER is None:
        pytest.skip("the page was not tried in a browser: no Chromium is installed (apt-get install chromium)")
    with Browser(BROWSER) as started:
        yield started


@pytest.fixture
def page(study: parameters.Params, browser: Browser) -> Iterator[Tab]:
    """The page of the study, opened."""
    path = Path("page.html")
    path.write_text(viewer.build(study), encoding="utf-8")
    with browser.tab(path) as tab:
        yield tab
