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
    study = ROOT / "studies" / f"{re.sub(r'-seed[0-9]+$', '', folder.name)}.yaml"  # a run with another seed
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


NUMBER = r"([+-]?[\d.]+)"
SHOWN = re.compile(rf"^{NUMBER}(?: ± {NUMBER}| \[{NUMBER}, {NUMBER}\])?(?:, [+-]?\d+ %)?$")


def assert_says(text: str, entry: dict[str, Any], field: str, factor: float) -> None:
    """A printed number and its interval are those of metrics.json, to the digits that are printed."""
    if text.startswith("&lt; "):
        assert 0 < factor * entry[field] < float(text[5:])
        return
    found = SHOWN.match(text)
    assert found, text
    value, arm, low, high = (None if part is None else float(part) for part in found.groups())
    unit = 10.0 ** -len(found[1].partition(".")[2])
    assert value == pytest.approx(factor * entry[field], abs=0.51 * unit), text
    if low is not None and high is not None:
        assert [low, high] == pytest.approx([factor * entry["low"], factor * entry["high"]], abs=0.51 * unit), text
    elif arm is not None:
        assert [arm, arm] == pytest.approx(
            [factor * (entry[field] - entry["low"]), factor * (entry["high"] - entry[field])], abs=0.51 * unit
        ), text
    else:
        assert factor * (entry.get("high", 0.0) - entry.get("low", 0.0)) / 2 < 0.005, text  # too narrow to print
    width = factor * (entry.get("high", 0.0) - entry.get("low", 0.0)) / 2
    assert not width or width < 35.5 * unit, text  # the Particle Data Group's rule: no digit too few


def test_there_are_reports() -> None:
    assert {"miniature", "miniature-seed1", "miniature-seed2", "smollm2", "dialogsum-small", "dialogsum-small-cut"} <= {
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
    titles = {cell(format.title(key)): key for key in format.columns} | {"KL to start (nats)": "kl_start"}
    [(header, lines)] = tables(folder, "Results")
    entries = {**report["yardsticks"], **report["variants"]}
    checked = 0
    for line in lines:
        for title, text in zip(header[1:-1], line[1:-1], strict=True):
            entry, key = entries[line[0]].get(titles[title]), titles[title]
            if entry is None or line[0] in report["collapsed"]:
                assert text in ("–", "collapsed")
            else:
                assert_says(text, entry, "value", format.factor(key))
                checked += 1
    assert checked >= 2 * len(report["variants"])


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_the_table_of_changes_says_what_metrics_json_says(folder: Path) -> None:
    report, format = numbers(folder), units(folder)
    titles = {cell(format.title(key)): key for key in format.columns}
    marks = {"▲ better": True, "▼ worse": True}
    checked = 0
    for header, lines in tables(folder, "What changed"):
        if header[0] != "variant ← start":
            continue
        for line in lines:
            variant, _, start = line[0].partition(" ← ")
            key = titles[line[header.index("measure")]]
            change = report["changes"][variant][key]
            assert change["against"] == start
            assert_says(line[header.index("difference")], change, "difference", format.factor(key))
            assert marks.get(line[header.index("reading")], False) == (change["p_holm"] <= 0.05)
            checked += 1
    assert checked >= len(report["changes"])


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_every_verdict_agrees_with_its_numbers(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    for variant, facts in numbers(folder)["panel"].items():
        assert f"`{variant}` against `{facts['against']}`: **{facts['verdict']}**" in text
        assert f"- `{variant}` (from `{facts['against']}`): **{facts['verdict']}**" in text
        claimed = facts["verdict"].startswith(("less toxic", "more toxic"))
        assert claimed <= (facts["p_judge"] <= 0.05)
