"""Costs are judged by ratio, and only on the same machine and versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Bench = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]


COSTS = [
    ("training up to a third slower", {"train.training_examples_per_second": 7.0}, 0),
    ("training half as fast", {"train.training_examples_per_second": 5.0}, 1),
    ("faster", {"train.training_examples_per_second": 50.0}, 0),
    ("writing half as fast", {"generate.generation_tokens_per_second": 25.0}, 1),
    ("more memory", {"train.peak_resident_bytes": 1300}, 1),
    ("less memory", {"generate.peak_resident_bytes": 300}, 0),
    ("a larger checkpoint", {"checkpoint_bytes": 500}, 1),
    ("more parameters", {"trainable_parameters": 400}, 1),
    ("slower on another processor", {"train.training_examples_per_second": 1.0, "train.machine": {"cpu": "Z"}}, 0),
    ("slower where none says the machine", {"train.training_examples_per_second": 1.0, "train.machine": {}}, 0),
]


@pytest.mark.parametrize(("costs", "expected"), [row[1:] for row in COSTS], ids=[row[0] for row in COSTS])
def test_costs_are_judged_by_ratio(project: Any, bench: Bench, costs: dict[str, Any], expected: int) -> None:
    project.costs = {"lora": costs}
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == expected, out
    if "train.machine" in costs:
        assert "not compared: train training_examples_per_second" in out
        assert "hardware differs: cpu 'Model T' before, 'Z' now" in out or "does not say on which machine" in out


def test_other_versions_forbid_and_other_hardware_allows_exact_costs(project: Any, bench: Bench) -> None:
    machine = project.cost("lora")["train"]["machine"]
    project.costs = {"lora": {"checkpoint_bytes": 500, "train.machine": machine | {"cpu": "Z"}}}
    project.write()
    assert bench("gate", "--against", "HEAD")[0] == 1
    project.costs = {"lora": {"checkpoint_bytes": 500, "train.machine": machine | {"torch": "3"}}}
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 0
    assert "version differs: torch '2.13.0' before, '3' now" in out


def test_a_cost_that_got_lost_is_refused(project: Any, bench: Bench, refused: Refused) -> None:
    project.costs = {"lora": {"train.training_examples_per_second": None}}
    project.write()
    refused(bench("gate", "--against", "HEAD"), "training_examples_per_second of 'lora' is missing")


@pytest.mark.parametrize("machine", ["here", True, ["cpu"]])
def test_a_machine_that_is_no_mapping_is_refused(project: Any, bench: Bench, refused: Refused, machine: Any) -> None:
    project.costs = {"lora": {"train.machine": machine}}
    project.write()
    refused(bench("gate", "--against", "HEAD"), "machine of 'lora' is")
