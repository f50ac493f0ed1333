"""`bench seeds` on fabricated reports: means and spreads are the plain ones."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from bench.commands import seeds as command
from bench.compare import seeds
from bench.core.schema import UserError


def run(folder: Path, value: float, variant: str = "ppo") -> Path:
    entry = {"value": value, "low": value - 0.1, "high": value + 0.1}
    change = {"against": "full", "difference": -value, "low": -1, "high": 0, "mean_improvement": value}
    metrics = {
        "study": "toy",
        "variants": {variant: {"toxicity_judge": entry}},
        "changes": {variant: {"toxicity_judge": change}},
    }
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_mean_and_spread_over_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [run(tmp_path / f"s{k}", value) for k, value in enumerate((0.1, 0.2, 0.6))]
    assert command.run(argparse.Namespace(folders=folders, output=tmp_path / "out.md")) == 0
    page = capsys.readouterr().out
    assert (tmp_path / "out.md").read_text() == page
    assert "30.00" in page and "26.46" in page  # mean and sd (n - 1) of 10, 20, 60
    assert "60.00 [50.00, 70.00]" in page and "30 %" in page


def test_one_run_or_other_variants_are_refused(tmp_path: Path) -> None:
    one = run(tmp_path / "a", 0.1)
    with pytest.raises(UserError, match="at least two"):
        seeds.load([one])
    with pytest.raises(UserError, match="same variants"):
        seeds.load([one, run(tmp_path / "b", 0.1, "dpo")])
    with pytest.raises(UserError, match="holds no metrics.json; name the folder of a report"):
        seeds.load([one, tmp_path / "none"])


def test_a_collapsed_run_is_named_and_not_averaged_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [run(tmp_path / f"s{k}", value) for k, value in enumerate((0.1, 0.2, 0.9))]
    broken = json.loads((folders[2] / "metrics.json").read_text())
    (folders[2] / "metrics.json").write_text(json.dumps(broken | {"collapsed": {"ppo": 1.0}, "changes": {}}))
    command.run(argparse.Namespace(folders=folders, output=None))
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| ppo"))
    assert "collapsed" in row and "15.00" in row and "7.07" in row  # mean and sd of 10 and 20
