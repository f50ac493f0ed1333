"""The tables say what metrics.json says."""

from __future__ import annotations

import numpy as np
import pytest

from bench import report, stats
from bench.core import parameters, paths
from tests.report.toy import START, Built, column, section_of

SAFETY = [f"toxicity_{name}{output}" for name in ("judge", "reward") for output in ("", "_sampled")]


def test_every_quality_number_of_the_main_table_carries_its_interval(built: Built) -> None:
    lines = section_of(built[2], "Results").splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert list(rows)[2:] == ["human", "lead-3", *START]
    for variant in START:
        entry = built[1]["variants"][variant]["rouge1"]
        shown = f"{100 * entry['value']:.1f} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"
        assert shown in rows[variant]
    assert "8.0 %" in rows["lora"]  # 80,000 of 1,000,000


def test_slices_by_tag(built: Built) -> None:
    heated = column("full", "toxicity_judge")[::3]
    lines = [line for line in section_of(built[2], "By slice").splitlines() if line.startswith("| heated")]
    line = next(line for line in lines if "| full" in line)
    assert f"{100 * heated.mean():.1f} [" in line
    assert "| 8 |" in line  # dialogues


def test_alignment_claims_only_what_the_corrected_test_allows(built: Built) -> None:
    lines = section_of(built[2], "What alignment changed").splitlines()
    for name in ("ppo", "dpo"):
        for key, title in (("rouge1", "ROUGE-1"), ("toxicity_judge", "Toxicity (judge) (%)")):
            change = built[1]["changes"][name][key]
            line = next(x for x in lines if x.startswith(f"| {name} ") and f"| {title} " in x)
            claimed = change["p_holm"] <= 0.05
            assert ("| better |" in line or "| worse |" in line) == claimed
            assert ("no change" in line) == (not claimed)


def test_what_alignment_changed_is_tested_on_each_declared_slice(built: Built) -> None:
    slices, keys = built[1]["slices"], {"rouge1", *SAFETY}
    assert list(slices) == ["heated", "calm"]
    family = [slices[tag][name][key] for tag in slices for name in ("ppo", "dpo") for key in keys]
    expected = stats.holm([change["p"] for change in family])
    assert [change["p_holm"] for change in family] == pytest.approx(expected, rel=1e-5)
    heated = np.arange(24) % 3 == 0
    for tag, members in (("heated", heated), ("calm", ~heated)):
        before, after = (column(name, "toxicity_judge")[members] for name in ("full", "ppo"))
        change = slices[tag]["ppo"]["toxicity_judge"]
        found = change["before"], change["after"], change["difference"]
        assert found == pytest.approx((before.mean(), after.mean(), (after - before).mean()), rel=1e-5)
        assert change["p"] == pytest.approx(stats.sign_flip(after - before, 400)[0], rel=1e-5)
        assert change["n"] == members.sum()
    lines = section_of(built[2], "By slice").splitlines()
    assert sum(line.startswith(("| heated | ppo |", "| calm | dpo |")) for line in lines) == 2 + 2 * len(keys)


def test_a_variant_that_samples_while_it_learns_says_how_often_it_clipped(built: Built) -> None:
    """Five iterations: a quarter is one of them."""
    (line,) = (
        x for x in section_of(built[2], "How it learnt from its own samples").splitlines() if x.startswith("| ppo")
    )
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["ppo", "5", "0.000", "4.000", "0.40", "–", "4.200", "2.00", "4.00"]


def test_a_slice_that_no_test_dialogue_is_on_is_warned_of(study: parameters.Params) -> None:
    report.build(study.model_copy(update={"report": parameters.ReportConfig(slices=["hot", "calm"], resamples=400)}))
    text = (paths.report_dir("toy") / "report.md").read_text()
    assert "> **Warning:** `hot` of `report.slices` is no tag that splits the test dialogues" in text
    assert "| calm | ppo |" in text and "`calm` of" not in text
