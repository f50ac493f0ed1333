"""The README says what the committed report says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.core import plugins

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = {
    "baseline": "baseline (zero-shot)",
    "full": "full fine-tune",
    "lora": "LoRA",
    "ppo": "PPO detox of full",
    "dpo": "DPO detox of full",
}


@pytest.mark.parametrize("variant", ROWS)
def test_the_results_are_the_report_s(variant: str) -> None:
    found = json.loads((ROOT / "reports" / "miniature" / "metrics.json").read_text())["variants"][variant]
    row = next(line for line in README.splitlines() if line.startswith(f"| {ROWS[variant]} |"))
    for key in ("rouge1", "wholly_right", "toxicity_reward", "toxicity_judge"):
        entry = found[key]
        assert f"{100 * entry['value']:.1f} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]" in row


def test_what_the_readme_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"`(bench/[a-z_/]+\.py)`", README):
        assert (ROOT / name).exists(), name
    assert {"orpo", "sft", "ppo", "dpo", "none"} <= set(plugins.names("method"))


def test_what_a_point_of_rouge_is_worth_is_the_report_s_own_sentence() -> None:
    sentence = json.loads((ROOT / "reports" / "metrics-check.json").read_text())["sentence"]
    assert sentence in " ".join(README.split())
