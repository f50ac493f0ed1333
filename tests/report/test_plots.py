"""The pictures."""

from __future__ import annotations

import csv

import pytest
from matplotlib.axes import Axes

from bench.report import plots
from tests.report.test_reward_hacking import view
from tests.report.toy import Built


def test_pictures_are_small_and_carry_their_data(built: Built) -> None:
    for path in (built[0] / "plots").glob("*.png"):
        assert path.stat().st_size < 150_000
        assert b"tEXtSoftware" not in path.read_bytes()
        assert f'<img src="plots/{path.name}" width=' in built[2]
    with (built[0] / "plots" / "tradeoff.csv").open(newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert float(rows["ppo"]["rouge1"]) == built[1]["variants"]["ppo"]["rouge1"]["value"]


def test_the_forest_has_every_difference_that_the_table_shows_in_points(built: Built) -> None:
    with (built[0] / "plots" / "differences.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change = built[1]["changes"][row["variant"]][row["column"]]
        assert (float(row["difference"]), float(row["low"])) == (change["difference"], change["low"])
        assert row["shown"] == str(int(change["p_holm"] <= 0.05))
    assert {(row["changed_by"], row["variant"]) for row in rows} >= {("alignment", "ppo"), ("fine-tuning", "lora")}


def test_what_stands_far_from_every_variant_takes_no_room() -> None:
    near = [{"system": "full", "x": 0.1, "x_low": 0.05, "x_high": 0.15}]
    made = view()
    made.study.columns["x"] = made.study.columns["toxicity_judge"]
    assert plots._room(made, near, "x") == (0.0, 20.0)


def test_a_curve_that_never_moves_gets_no_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    made, titles = view(), list[str]()
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **_: titles.append(text))
    still = [{"variant": "full", "quantity": "kl", "step": k, "value": 0.0} for k in range(3)]
    moving = [{"variant": "full", "quantity": "loss", "step": k, "value": float(k)} for k in range(3)]
    plots._curves(made, [*still, *moving])
    assert titles == ["full: loss"]
