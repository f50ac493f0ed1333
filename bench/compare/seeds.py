"""Several runs of one study with other seeds, side by side: each value with its interval, and the spread over seeds."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from bench.compare.snapshot import columns_of_params
from bench.core import parsing, paths, storage
from bench.core.schema import UserError
from bench.metrics import Column
from bench.report.markdown import cell, section, table
from bench.report.view import NONE, UNITS


def load(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """Read the metrics of each report folder by its name.

    Raises:
        UserError: fewer than two runs, a missing file, or runs whose variants differ.
    """
    if len(folders) < 2:
        raise UserError("give at least two report folders, such as reports/miniature reports/miniature-seed1.")
    for folder in folders:
        if not (folder / "metrics.json").is_file():
            raise UserError(f"{folder} holds no metrics.json; name the folder of a report, such as reports/miniature.")
    runs = {folder.name: storage.read_json(folder / "metrics.json") for folder in folders}
    variants = [list(run["variants"]) for run in runs.values()]
    if any(names != variants[0] for names in variants):
        raise UserError("the runs do not have the same variants; run them from one params file.")
    return runs


def page(runs: dict[str, dict[str, Any]]) -> str:
    """Write the Markdown page: values and changes, one row a variant and measure, one column a run."""
    names = list(next(iter(runs.values()))["variants"])
    columns = _columns(runs)
    results = [key for key, c in columns.items() if c.role in ("quality", "safety") and not c.of_source]
    distances = [key for key, c in columns.items() if c.role == "distance" and not c.sampled and not c.detail]
    head = ["variant", "measure", *map(cell, runs), "mean over seeds", "sd over seeds"]
    values = [
        _row(
            [cell(variant), cell(key)],
            runs,
            variant,
            [run["variants"][variant].get(key) for run in runs.values()],
            columns[key],
        )
        for variant in names
        for key in (*results, *distances)
    ]
    changes = [
        _row(
            [cell(f"{variant} − {against}"), cell(key)],
            runs,
            variant,
            [run["changes"].get(variant, {}).get(key) for run in runs.values()],
            columns[key],
        )
        for variant in names
        if (against := _start(runs, variant))
        for key in results
    ]
    about = (
        f"{len(runs)} runs; the seeds of data, models and training differ. Brackets are 95 % intervals over dialogues, the "
        "last column is the standard deviation over seeds. Points (value times 100); KL in nats a sequence."
    )
    parts = [
        "# The same study with other seeds",
        about,
        section("Values", table(head, [row for row in values if row])),
        section("Changes against the start", table(head, [row for row in changes if row])),
        section(
            "Improvement of mean toxicity (eq. 3.8)",
            table(head, _improvements(runs, names, [key for key in results if columns[key].role == "safety"])),
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _columns(runs: dict[str, dict[str, Any]]) -> dict[str, Column]:
    """What the columns of the runs' study mean, by its file in studies/ where it is there."""
    path = paths.STUDIES / f"{next(iter(runs.values())).get('study')}.yaml"
    params = parsing.parse_yaml(path.read_bytes(), str(path), "correct it") if path.is_file() else {}
    return columns_of_params(params)


def _start(runs: dict[str, dict[str, Any]], variant: str) -> str | None:
    """What the variant was compared with, in the first run that could."""
    known = (entry["against"] for run in runs.values() for entry in run["changes"].get(variant, {}).values())
    return next(known, None)


def _row(
    labels: list[str],
    runs: dict[str, dict[str, Any]],
    variant: str,
    entries: list[dict[str, Any] | None],
    column: Column,
) -> list[str] | None:
    """One row, or None where a run lacks the measure. A run whose variant collapsed is named and not averaged in."""
    scale = UNITS[column.unit][0]
    cells, numbers = [], []
    for run, entry in zip(runs.values(), entries, strict=True):
        if variant in run.get("collapsed", {}):
            cells.append("collapsed")
        elif entry is None:
            return None
        else:
            value = scale * entry["difference" if "difference" in entry else "value"]
            cells.append(f"{value:.2f}{_bounds(entry, scale)}")
            numbers.append(value)
    return [*labels, *cells, *_spread(numbers, ".2f")]


def _bounds(entry: dict[str, Any], scale: float) -> str:
    return f" [{scale * entry['low']:.2f}, {scale * entry['high']:.2f}]" if "low" in entry else ""


def _spread(numbers: list[float], form: str, unit: str = "") -> list[str]:
    """Mean and standard deviation over the runs."""
    mean = f"{statistics.mean(numbers):{form}}{unit}" if numbers else NONE
    return [mean, f"{statistics.stdev(numbers):{form}}{unit}" if len(numbers) > 1 else NONE]


def _improvements(runs: dict[str, dict[str, Any]], names: list[str], keys: list[str]) -> list[list[str]]:
    rows = []
    for variant in names:
        for key in keys:
            sound = [run for run in runs.values() if variant not in run.get("collapsed", {})]
            entries = [run["changes"].get(variant, {}).get(key, {}) for run in sound]
            numbers = [100 * entry["mean_improvement"] for entry in entries if "mean_improvement" in entry]
            if numbers and len(numbers) == len(sound):
                told = iter(f"{number:.0f} %" for number in numbers)
                cells = ["collapsed" if variant in run.get("collapsed", {}) else next(told) for run in runs.values()]
                rows.append([cell(variant), cell(key), *cells, *_spread(numbers, ".0f", " %")])
    return rows
