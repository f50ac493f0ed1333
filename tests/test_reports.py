"""Every committed report is read back: scores.csv, metrics.json and report.md say the same."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import stats
from bench.compare.snapshot import columns_of_params
from bench.core import parsing
from bench.metrics import SAMPLED
from bench.report.markdown import cell
from bench.report.view import ColumnFormat

ROOT = Path(__file__).resolve().parents[1]
REPORTS = sorted(path.parent for path in (ROOT / "reports").glob("*/metrics.json"))
PLACE = ("variant", "id", "dialogue_id", "output", "draw", "seed")


def numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def units(folder: Path) -> ColumnFormat:
    study = ROOT / "studies" / f"{folder.name}.yaml"
    return ColumnFormat(columns_of_params(parsing.parse_yaml(study.read_bytes(), str(study)) if study.exists() else {}))


def rows(folder: Path) -> dict[tuple[str, str], dict[str, list[float]]]:
    """Values of scores.csv by (system, column), by dialogue."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    with (folder / "scores.csv").open() as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if text and name not in PLACE:
                    column = name + SAMPLED if row["output"] == "sample" else name
                    held = found.setdefault((row["variant"], column), {})
                    held.setdefault(row["dialogue_id"], []).append(float(text))
    return found


def tables(folder: Path, title: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a section of report.md: header and rows."""
    text = (folder / "report.md").read_text()
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    for block in found[1].split("\n\n") if found else []:
        lines = [[part.strip() for part in line.strip("|").split(" | ")] for line in block.strip().splitlines()]
        if block.lstrip().startswith("|"):
            yield [part.strip("| ") for part in lines[0]], [[part.strip("| ") for part in line] for line in lines[2:]]


def bounded(format: ColumnFormat, key: str, entry: dict[str, Any], field: str, sign: bool = False) -> str:
    text = format.number(key, entry[field], sign)
    if "low" not in entry:
        return text
    return f"{text} [{format.number(key, entry['low'], sign)}, {format.number(key, entry['high'], sign)}]"


def test_there_are_reports() -> None:
    assert {"miniature", "miniature-seed1", "miniature-seed2", "smollm2", "dialogsum-small-cut"} <= {
        folder.name for folder in REPORTS
    }


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_rows_give_the_values_spreads_and_differences_of_metrics_json(folder: Path) -> None:
    report, held = numbers(folder), rows(folder)
    entries = {**report["variants"], **report["yardsticks"]}
    assert {(system, key) for system, columns in entries.items() for key in columns} == set(held)
    means = {place: {d: float(np.mean(some)) for d, some in values.items()} for place, values in held.items()}
    for (system, key), by_dialogue in means.items():
        entry, values = entries[system][key], np.array(list(by_dialogue.values()))
        slack = 2e-5 * float(np.abs(values).mean()) + 1e-9  # both are written with six digits
        assert entry["n"] == len(values)
        assert entry["value"] == pytest.approx(values.mean(), abs=slack), (system, key)
        if len(values) > 1:
            assert entry["se"] == pytest.approx(stats.standard_error(values), rel=1e-3, abs=slack), (system, key)
    for variant, changes in report["changes"].items():
        for key, change in changes.items():
            before, after = means[change["against"], key], means[variant, key]
            shared = before.keys() & after.keys()
            gap = np.mean([after[d] - before[d] for d in shared])
            size = float(np.mean([abs(after[d]) + abs(before[d]) for d in shared]))
            assert change["difference"] == pytest.approx(gap, abs=2e-5 * size + 1e-9), (variant, key)


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_the_table_of_results_says_what_metrics_json_says(folder: Path) -> None:
    report, format = numbers(folder), units(folder)
    titles = {cell(format.title(key)): key for key in format.columns}
    [(header, lines)] = tables(folder, "Results")
    entries = {**report["yardsticks"], **report["variants"]}
    checked = 0
    for line in lines:
        for title, text in zip(header[1:-1], line[1:-1], strict=True):
            entry = entries[line[0]].get(titles[title])
            assert text in ("collapsed", "–" if entry is None else bounded(format, titles[title], entry, "value"))
            checked += 1
    assert checked >= 5 * len(report["variants"])


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("title", ["What alignment changed", "What fine-tuning changed"])
def test_the_tables_of_changes_say_what_metrics_json_says(folder: Path, title: str) -> None:
    report, format = numbers(folder), units(folder)
    titles = {cell(format.title(key)): key for key in format.columns}
    for header, lines in tables(folder, title):
        places = {name: header.index(name) for name in ("measure", "difference", "reading")}
        for line in lines:
            key = titles[line[places["measure"]]]
            change = report["changes"][line[0]][key]
            assert line[places["difference"]] == bounded(format, key, change, "difference", sign=True)
            claimed = line[places["reading"]] in ("better", "worse", "rises", "falls")
            assert claimed == (change["p_holm"] <= 0.05)


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_every_verdict_agrees_with_its_numbers(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    for variant, facts in numbers(folder)["panel"].items():
        assert f"`{variant}` against `{facts['against']}`: **{facts['verdict']}**" in text
        claimed = facts["verdict"].startswith(("less toxic", "more toxic"))
        assert claimed <= (facts["p_judge"] <= 0.05)
