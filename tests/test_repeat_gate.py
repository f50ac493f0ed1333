"""The page about honest reruns counts what the gate said."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

TOOL = Path(__file__).resolve().parents[1] / "tools" / "repeat_gate.py"


def test_every_outcome_and_the_span_of_every_cost_is_told() -> None:
    spec = importlib.util.spec_from_file_location("repeat_gate", TOOL)
    assert spec and spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    outcomes: list[dict[str, Any]] = [
        {"outcome": word, "verdicts": [{"measure": "train peak_resident_bytes", "ratio": ratio}, {"measure": "rouge1"}]}
        for word, ratio in (("PASS", 0.99), ("FAIL", 1.3), ("PASS", 1.01))
    ]
    text = tool.page(["train@dpo"], 2, outcomes)
    assert "1 of 3 reruns FAIL (2 PASS, 1 FAIL)" in text
    assert "| train peak_resident_bytes | 0.990 | 1.300 |" in text
    assert "`train@dpo`" in text and "rouge1" not in text
