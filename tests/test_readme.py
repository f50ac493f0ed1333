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


def page(name: str) -> str:
    return (ROOT / "reports" / name).read_text(encoding="utf-8")


def figures(pattern: str, name: str) -> tuple[str, ...]:
    """The groups of a sentence of a committed page."""
    found = re.search(pattern, page(name), re.I)
    assert found, (pattern, name)
    return found.groups()


def test_what_is_promised_of_the_gate_is_what_its_pages_say() -> None:
    text = " ".join(README.split())
    (false,) = figures(r"in at most ([\d.]+ %) of honest studies", "gate/characteristics.md")
    assert f"{false} of honest studies at most" in text
    failed, of = figures(r"(\d+) of (\d+) reruns FAIL", "gate/reruns.md")
    assert f"{of} honest reruns beside two busy processes, {failed} failed" in text


def test_what_is_promised_of_a_report_is_what_its_page_says() -> None:
    text = " ".join(README.split())
    verdicts, readings, coverage = figures(
        r"false verdict in at most ([\d.]+ %) of reports and a false reading in at most ([\d.]+ %); intervals hold the "
        r"truth in at least ([\d.]+ %)",
        "claims/error-rates.md",
    )
    assert f"at most {verdicts} of reports say" in text and f"at most {readings} call any change" in text
    assert f"covers in {coverage} or more of cases" in text


def test_how_many_summaries_are_wholly_right_is_the_report_s() -> None:
    found = json.loads(page("miniature/metrics.json"))["variants"]["full"]
    right, rouge = (f"{100 * found[key]['value']:.1f}" for key in ("wholly_right", "rouge1"))
    assert f"{right} % of the summaries behind {rouge} ROUGE-1 have every fact right" in " ".join(README.split())
