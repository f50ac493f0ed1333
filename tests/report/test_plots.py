"""The pictures."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from matplotlib.axes import Axes

from bench.report import plots, scatter
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
    assert scatter._room(made, near, "x") == (0.0, 20.0)


def test_a_curve_that_never_moves_gets_no_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    made, titles = view(), list[str]()
    monkeypatch.setattr(Axes, "set_title", lambda self, text, **_: titles.append(text))
    still = [{"variant": "full", "quantity": "kl", "step": k, "value": 0.0} for k in range(3)]
    moving = [{"variant": "full", "quantity": "loss", "step": k, "value": float(k)} for k in range(3)]
    plots._curves(made, [*still, *moving])
    assert titles == ["full: loss"]


def points(**entries: dict[str, float]) -> Any:
    """A study of these variants, each with its share, its result and its diversity, where it has one."""
    made = view()
    block = made.study.params.variants["full"]
    made.study.params.variants.clear()
    made.study.params.variants.update(dict.fromkeys(entries, block))
    made.study.systems.clear()
    made.study.systems.update(dict.fromkeys(entries))
    made.metrics["variants"] = {
        name: {"rouge1": {"value": one["value"], "low": one["value"] - 0.01, "high": one["value"] + 0.01}}
        | ({scatter.DIVERSITY: {"value": one["wide"]}} if "wide" in one else {})
        for name, one in entries.items()
    }
    made.costs["variants"] = {name: {"trainable_share": one.get("share")} for name, one in entries.items()}
    return made


def test_three_trained_shares_are_a_picture_and_two_are_none() -> None:
    shares = {name: {"value": 0.3 + share, "share": share} for name, share in (("a", 0.001), ("b", 0.01), ("c", 0.1))}
    made = points(**shares, zero={"value": 0.1})
    assert [(row["system"], row["trainable_share"]) for row in scatter.trained_rows(made)] == [
        ("a", 0.001),
        ("b", 0.01),
        ("c", 0.1),
    ]
    axes = scatter.trained(made, scatter.trained_rows(made)).axes[0]
    assert axes.get_xscale() == "log" and {text.get_text() for text in axes.texts} == {"a", "b", "c"}
    assert scatter.trained_rows(points(a=shares["a"], b=shares["b"])) == []


def test_diversity_is_a_picture_of_decodings_that_draw() -> None:
    drawn = {name: {"value": 0.3, "wide": wide} for name, wide in (("cool", 0.4), ("warm", 0.6), ("hot", 0.8))}
    made = points(**drawn, greedy={"value": 0.4})
    rows = scatter.diversity_rows(made)
    assert [row["system"] for row in rows] == ["cool", "warm", "hot"]
    places = [container[0].get_xydata()[0] for container in scatter.diversity(made, rows).axes[0].containers]
    assert [tuple(place) for place in places] == [pytest.approx((wide, 30)) for wide in (40, 60, 80)]
