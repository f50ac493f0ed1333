"""The pictures."""

from __future__ import annotations

import csv

from tests.report.toy import Built


def test_pictures_are_small_and_carry_their_data(built: Built) -> None:
    for path in (built[0] / "plots").glob("*.png"):
        assert path.stat().st_size < 150_000
        assert b"tEXtSoftware" not in path.read_bytes()
        assert f"](plots/{path.name})" in built[2]
    with (built[0] / "plots" / "tradeoff.csv").open(newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert float(rows["ppo"]["rouge1"]) == built[1]["variants"]["ppo"]["rouge1"]["value"]
