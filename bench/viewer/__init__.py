"""One HTML file a study with every summary to read: what each system wrote of each dialogue, beside references and scores.

The page is a file of its own: no server, no network, no library. `page/` holds its HTML, style and script.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from bench.core import paths, storage
from bench.core.parameters import Params
from bench.core.schema import UserError
from bench.evaluation import scoring
from bench.report import inputs, tables
from bench.report.inputs import Study
from bench.report.view import UNITS, View, titled

SHAPE = ("words", "copy_rate")  # of the columns that are no result, what a reader looks for


def build(params: Params) -> str:
    """Make the page of a study from what its stages and its report left.

    Raises:
        UserError: there is no report, or its scores are not those of the test split.
    """
    path = paths.report_dir(params.study) / "metrics.json"
    if not path.exists():
        raise UserError(f"{path} does not exist; run `dvc repro` to make the report first.")
    return page(contents(inputs.read(params), storage.read_object(path)))


def contents(study: Study, metrics: dict[str, Any]) -> dict[str, Any]:
    """Gather what the page shows: dialogues, each system's greedy summaries with their scores, the report's front table."""
    keys = [study.params.report.primary, *study.keys("quality", "safety", "reward"), *SHAPE]
    keys = [key for key in dict.fromkeys(keys) if any(key in scores.columns for scores in study.systems.values())]
    texts = {variant: study.summaries(variant) for variant in study.params.variants}
    if "lead-3" in study.systems:
        texts["lead-3"] = {row.id: row.text for row in scoring.lead_3(study.examples)}
    scores = {system: {key: _scores(study, system, key) for key in keys} for system in texts}
    view = View(study, metrics, {}, {"variants": {}})
    front = tables.front_keys(view)
    return {
        "study": study.params.study,
        "about": study.params.about,
        "primary": study.params.report.primary,
        "systems": list(texts),
        "against": _against(study),
        "columns": [_column(study, key) for key in keys],
        "slices": sorted({tag for example in study.examples for tag in example.tags}),
        "front": {
            "titles": ["", *(tables.front_title(study.columns[key]) for key in front)],
            "rows": [[system, *(view.result(system, key) for key in front)] for system in study.systems],
        },
        "dialogues": [
            {
                "id": example.id,
                "tags": list(example.tags),
                "source": example.source,
                "references": list(example.references),
                "outputs": [
                    {"text": texts[system][example.id], "scores": [scores[system][key].get(example.id) for key in keys]}
                    if example.id in texts[system]
                    else None
                    for system in texts
                ],
            }
            for example in study.examples
        ],
    }


def _scores(study: Study, system: str, key: str) -> dict[str, float]:
    """A column of the summaries that are shown, by example, with as many digits as a reader needs."""
    if system not in study.systems or key not in study.systems[system].columns:
        return {}
    mark = study.params.trainings_of(system)[0].mark if system in study.params.variants else None
    return {name: round(value, 5) for name, value in study.systems[system].greedy(key, mark).items()}


def _against(study: Study) -> str:
    """The system that others are compared with first: what the first aligned variant started from, else the first."""
    starts = [start for variant in study.aligned if (start := study.start(variant))]
    return next(iter(starts), next(iter(study.params.variants)))


def _column(study: Study, key: str) -> dict[str, Any]:
    factor, decimals, _ = UNITS[study.columns[key].unit]
    return {"key": key, "title": titled(study.columns[key]), "factor": factor, "decimals": decimals}


def page(data: dict[str, Any]) -> str:
    """Put the data into the page. A policy in it lets its own style and script run, and nothing else, nor any network."""
    parts = {name: (resources.files(__name__) / "page" / f"view.{name}").read_text("utf-8") for name in ("css", "js")}
    html = (resources.files(__name__) / "page" / "view.html").read_text("utf-8")
    # A script element ends at `</script` wherever it stands; in JSON the sign can be written otherwise.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    filled = {
        "STYLE_HASH": _hash(parts["css"]),
        "SCRIPT_HASH": _hash(parts["js"]),
        "STYLE": parts["css"],
        "SCRIPT": parts["js"],
        "DATA": text.replace("\u2029", "\\u2029"),  # last: what it holds is not looked through again
    }
    for name, value in filled.items():
        before, _, after = html.partition(f"@@{name}@@")
        html = before + value + after
    return html


def _hash(text: str) -> str:
    """What a content security policy calls an inline style or script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
