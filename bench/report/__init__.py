"""Scores and costs -> reports/<study>/: report.md, metrics.json, scores.csv, predictions.jsonl, costs.json, plots/."""

from __future__ import annotations

from bench.core import paths, storage
from bench.core.parameters import Params


def build(params: Params) -> str:
    """Write the report of a study from what its stages left; returns a headline.

    Raises:
        UserError: scores are missing, or are not those of the test split.
    """
    from bench.report import (
        agreement,
        alignment,
        costs,
        document,
        estimates,
        exports,
        inputs,
        plots,
        reward_hacking,
        seed_variance,
        summary,
    )
    from bench.report.view import View

    study = inputs.read(params, costs.read(params))
    metrics, slices = estimates.measure(study)
    metrics |= seed_variance.measure(study, metrics)
    metrics |= agreement.measure(study, metrics["collapsed"])
    metrics |= alignment.measure(study, metrics["collapsed"])
    view = View(study, metrics, slices, costs.document(study))
    metrics["panel"] = reward_hacking.panel(view)
    folder = paths.report_dir(params.study)
    pictures = plots.draw(view, folder / "plots")
    storage.write_json(folder / "metrics.json", metrics)
    storage.write_json(folder / "costs.json", view.costs)
    storage.write_table(folder / "scores.csv", exports.score_rows(study))
    exports.write_summaries(study, folder / "predictions.jsonl")
    storage.write_text(folder / "report.md", document.document(view, pictures))
    return f"report: {summary.headline(view)} -> {folder / 'report.md'}"
