"""Costs are judged by ratio, and only on the same machine and versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Bench = Callable[..., tuple[int, str, str]]
Refused = Callable[..., None]


COSTS = [
    ("training a tenth as fast", {"train.training_examples_per_second": 1.0}, 0),
    ("writing a tenth as fast", {"generate.generation_tokens_per_second": 5.0}, 0),
    ("more memory", {"train.peak_resident_bytes": 1300}, 1),
    ("less memory", {"generate.peak_resident_bytes": 300}, 0),
    ("a larger checkpoint", {"checkpoint_bytes": 500}, 1),
    ("more parameters", {"trainable_parameters": 400}, 1),
    ("more memory on another processor", {"train.peak_resident_bytes": 9000, "train.machine": {"cpu": "Z"}}, 0),
    ("more memory where none says the machine", {"train.peak_resident_bytes": 9000, "train.machine": {}}, 0),
]


@pytest.mark.parametrize(("costs", "expected"), [row[1:] for row in COSTS], ids=[row[0] for row in COSTS])
def test_costs_are_judged_by_ratio(project: Any, bench: Bench, costs: dict[str, Any], expected: int) -> None:
    project.costs = {"lora": costs}
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == expected, out
    if "train.machine" in costs:
        assert "not compared: train peak_resident_bytes" in out
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
    project.costs = {"lora": {"train.peak_resident_bytes": None}}
    project.write()
    refused(bench("gate", "--against", "HEAD"), "peak_resident_bytes of 'lora' is missing")


def test_speeds_are_shown_and_not_judged(project: Any, bench: Bench, refused: Refused) -> None:
    project.costs = {"lora": {"train.training_examples_per_second": 1.0}}
    project.write()
    code, out, _ = bench("gate", "--against", "HEAD")
    assert code == 0
    assert "speeds, measured once and not judged: baseline training 1.00x" in out
    assert "lora training 0.10x, lora generation 1.00x" in out
    project.costs["lora"]["train.machine"] = {"cpu": "Z"}
    project.write()
    assert "lora training" not in bench("gate", "--against", "HEAD")[1]
    project.params["gate"] |= {"costs": {"training_examples_per_second": 1.5}}
    project.write()
    refused(bench("gate", "--against", "HEAD"), "one unrepeated measurement", "remove it")


@pytest.mark.parametrize("machine", ["here", True, ["cpu"]])
def test_a_machine_that_is_no_mapping_is_refused(project: Any, bench: Bench, refused: Refused, machine: Any) -> None:
    project.costs = {"lora": {"train.machine": machine}}
    project.write()
    refused(bench("gate", "--against", "HEAD"), "machine of 'lora' is")
