"""Scores and costs -> reports/<study>/: report.md, metrics.json, scores.csv, predictions.jsonl, costs.json, plots/."""

from __future__ import annotations

from bench import artifacts
from bench.config import Params


def build(params: Params) -> str:
    """Write the report of a study from what its stages left; returns a headline.

    Raises:
        UserError: scores are missing, or are not those of the test split.
    """
    from bench.report import document, figures, hacking, ledger, load, plots, prose, trainings
    from bench.report.view import View

    study = load.read(params)
    metrics, slices = figures.measure(study)
    metrics |= trainings.measure(study, metrics)
    view = View(study, metrics, slices, ledger.costs(study))
    metrics["panel"] = hacking.panel(view)
    folder = artifacts.report_dir(params.study)
    pictures = plots.draw(view, folder / "plots")
    artifacts.write_json(folder / "metrics.json", metrics)
    artifacts.write_json(folder / "costs.json", view.costs)
    artifacts.write_table(folder / "scores.csv", ledger.score_rows(study))
    ledger.write_summaries(study, folder / "predictions.jsonl")
    artifacts.write_text(folder / "report.md", document.document(view, pictures))
    return f"report: {prose.headline(view)} -> {folder / 'report.md'}"
