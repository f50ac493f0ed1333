"""What the page shows, as JSON: dialogues, every system's summaries with their scores, the report's front table.

Lists of values and texts are in the order of the test split, one entry a dialogue, null where there is none.
"""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench import datasets, stats
from bench.core import paths, storage
from bench.core.parameters import Params
from bench.core.schema import Prediction, ScoreRow, UserError, first_error
from bench.evaluation import scoring
from bench.metrics import SAMPLED, Column, column_of
from bench.report import tables, wording
from bench.report.study import Study
from bench.report.view import UNITS, View, titled

Run = tuple[int | None, str, int]  # the seed of the training, greedy or sample, the draw; of `human` the reference
HUMAN = "human"
# What the page counts itself, words by white space: of yardsticks too, and in a study without the metric `text`, whose
# column it stands for. No column of a metric has a dot in its name.
LENGTH, COUNTED = "summary.words", "words"
OF_DIALOGUES = {
    "dialogue.turns": "Turns",
    "dialogue.words": "Words of the dialogue",
    "references.words": "Words a reference",
}
DECIMALS = 5  # what points and shares, which are printed times 100, can show, and two more


class _Number(BaseModel):
    """What is read of an entry of metrics.json; the report writes more."""

    model_config = ConfigDict(strict=True)

    value: float
    low: float | None = None
    high: float | None = None


class _Metrics(BaseModel):
    """What is read of metrics.json."""

    variants: dict[str, dict[str, _Number]]
    yardsticks: dict[str, dict[str, _Number]]
    collapsed: dict[str, Any]


def read_metrics(path: Path, study: Study) -> dict[str, Any]:
    """Read a report's metrics.json, which must be of the scores that lie here: its numbers stand above them.

    Raises:
        UserError: it is broken, or a mean in it is not that of the scores.
    """
    metrics = storage.read_object(path)
    try:
        known = _Metrics.model_validate(metrics)
    except ValidationError as error:
        raise UserError(f"{path}: {first_error(error)}; run `dvc repro` to make the report again.") from None
    key = study.params.report.primary
    for system, scores in study.systems.items():
        if key not in scores.columns:
            continue
        number = {**known.yardsticks, **known.variants}.get(system, {}).get(key)
        if number is None or not math.isclose(number.value, stats.statistic(scores.columns[key], "mean"), rel_tol=1e-4):
            raise UserError(
                f"{path}: {key} of '{system}' is not the mean of {paths.scores_path(system)}, so the report is of other "
                "scores; run `dvc repro` to make it again."
            )
    return metrics


def rows_are_dialogues(params: Params) -> bool:
    """Tell whether the rows are dialogues, and not instructions or the like."""
    return datasets.find(params.data.dataset).DIALOGUES


def contents(study: Study, metrics: dict[str, Any]) -> dict[str, Any]:
    """Gather what the page shows, ready for JSON.

    `systems` have a run for each training, kind of output and draw: `texts` (n,) and `scores`, column -> (n,). The runs of
    `human` are the references. `of_dialogues` is column -> (n,) of what is about the dialogue.
    """
    names = [*study.params.variants, *(name for name in paths.YARDSTICKS if name == HUMAN or name in study.systems)]
    runs = {name: _runs(study, name) for name in names}
    present = {key for some in runs.values() for run in some for key in run["scores"]}
    of_dialogues = _of_dialogues(study)
    slices, tags = study.params.report.slices, {tag for example in study.examples for tag in example.tags}
    return {
        "study": study.params.study,
        "about": study.params.about,
        "confidence": f"{100 * study.params.report.confidence:g} %",
        "primary": study.params.report.primary,
        "pair": _pair(study),
        "columns": [*_columns(study, present), *_columns_of_dialogues(study, of_dialogues)],
        "slices": [tag for tag in slices if tag in tags],
        "tags": sorted(tags - set(slices)),
        "front": _front(View(study, metrics, {}, {"variants": {}})),
        "dialogues": [
            {"id": e.id, "tags": list(e.tags), "source": e.source, "references": list(e.references)}
            for e in study.examples
        ],
        "of_dialogues": of_dialogues,
        "systems": [{"name": name, "runs": some} for name, some in runs.items()],
    }


def _pair(study: Study) -> list[str]:
    """The system that is read first and the one it is held against: an aligned variant and its start, where there is one."""
    variants = list(study.params.variants)
    aligned = [[variant, start] for variant in study.aligned if (start := study.start(variant))]
    return next(iter(aligned), [variants[-1], variants[0] if len(variants) > 1 else HUMAN])


def _front(view: View) -> dict[str, Any]:
    """The front table of the report: systems and the text of each number with its interval, a row a column."""
    systems = list(view.study.systems)
    return {
        "systems": systems,
        "rows": [
            {
                "title": tables.front_title(view.study.columns[key]),
                # Cells of the report are Markdown, which writes `<` as an entity.
                "values": [html.unescape(view.result(system, key)) for system in systems],
            }
            for key in tables.front_keys(view)
        ],
    }


def _written(study: Study, system: str) -> list[Prediction]:
    """Every text of a system, greedy ones first."""
    if system in study.params.variants:
        return sorted(study.predictions[system], key=lambda row: row.output != "greedy")
    if system != HUMAN:
        return scoring.lead_3(study.examples)
    return [
        Prediction(id=e.id, dialogue_id=e.dialogue_id, output="greedy", draw=k, text=text)
        for e in study.examples
        for k, text in enumerate(e.references)
    ]


def _runs(study: Study, system: str) -> list[dict[str, Any]]:
    """The texts and scores of a system, a run apart, with the places of those that a limit cut."""
    place = {example.id: k for k, example in enumerate(study.examples)}
    found: dict[Run, dict[str, Any]] = {}
    for written in _written(study, system):
        run = found.setdefault((written.seed, written.output, written.draw), _empty_run(written, len(place)))
        run["texts"][place[written.id]] = written.text
        run["cut"] += [place[written.id]] if written.hit_limit else []
        run["source_cut"] += [place[written.id]] if written.source_truncated else []
    for run in found.values():
        run["scores"][LENGTH] = [None if text is None else len(text.split()) for text in run["texts"]]
    for row in study.systems[system].raw if system in study.systems else []:
        if (held := found.get(_run_of(row))) is None:
            continue
        for key, value in row.values.items():
            column = column_of(row, key)
            if column != COUNTED and not study.columns[column].of_source:
                held["scores"].setdefault(column, [None] * len(place))[place[row.id]] = round(value, DECIMALS)
    return list(found.values())


def _empty_run(row: Prediction, n: int) -> dict[str, Any]:
    # Seeds go up to 2^63 and a number of JavaScript to 2^53: they are names here.
    about = {"seed": "" if row.seed is None else str(row.seed), "output": row.output, "draw": row.draw}
    return about | {"texts": [None] * n, "scores": {}, "cut": [], "source_cut": []}


def _run_of(row: ScoreRow) -> Run:
    """The run that a row of scores stands beside: what is about the dialogue (KL on its references), beside greedy texts."""
    return row.seed, "sample" if row.output == "sample" else "greedy", row.draw


def _of_dialogues(study: Study) -> dict[str, list[float | None]]:
    """What is known of the dialogues themselves: lengths, and the scores of the input, which are those of every system."""
    found: dict[str, list[float | None]] = {
        "dialogue.turns": [sum(bool(turn.strip()) for turn in e.source.split("\n")) for e in study.examples],
        "dialogue.words": [len(e.source.split()) for e in study.examples],
        "references.words": [
            round(sum(len(text.split()) for text in e.references) / len(e.references), 1) for e in study.examples
        ],
    }
    for key, column in study.columns.items():
        known = next((scores for scores in study.systems.values() if key in scores.columns), None)
        if column.of_source and known:
            values = {row.id: row.values[key] for row in known.raw if key in row.values}
            found[key] = [round(values[e.id], DECIMALS) if e.id in values else None for e in study.examples]
    return found


def _columns(study: Study, present: set[str]) -> list[dict[str, Any]]:
    """The columns of summaries that some system has; `main` ones stand beside each summary, others in the table of all."""
    results = [key for key in study.keys("quality", detail=False) if study.columns[key].truth]
    main = {study.params.report.primary, *study.keys("safety", detail=False), *results}
    columns = [
        _column(key, column)
        | {"of": "sample" if column.sampled else "greedy", "main": key.removesuffix(SAMPLED) in main}
        for key, column in study.columns.items()
        if key in present
    ]
    return [*columns, _count(LENGTH, "Words", "summary")]


def _columns_of_dialogues(study: Study, present: dict[str, Any]) -> list[dict[str, Any]]:
    told = (lambda title: title) if rows_are_dialogues(study.params) else (lambda title: wording.of_examples(title, ()))
    counted = [_count(key, told(title), "dialogue") for key, title in OF_DIALOGUES.items()]
    scored = [key for key in present if key not in OF_DIALOGUES]
    return [*counted, *(_column(key, study.columns[key]) | {"of": "dialogue", "main": True} for key in scored)]


def _column(key: str, column: Column) -> dict[str, Any]:
    """How a column is printed: `heading` is what its title adds, `unit` what a number does that stands alone."""
    factor, decimals, _ = UNITS[column.unit]
    return {
        "key": key,
        "title": column.title,
        "heading": titled(column).removeprefix(column.title),
        "unit": " %" if column.unit == "share" else "",
        "factor": factor,
        "decimals": decimals,
        "higher_is_better": column.higher_is_better,
    }


def _count(key: str, title: str, of: str) -> dict[str, Any]:
    """A column that the page counts itself."""
    decimals = 1 if key == "references.words" else 0
    printed = {"heading": "", "unit": "", "factor": 1, "decimals": decimals, "higher_is_better": None}
    return {"key": key, "title": title, **printed, "of": of, "main": True}
