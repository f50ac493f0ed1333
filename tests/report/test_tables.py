"""The tables say what metrics.json says."""

from __future__ import annotations

from tests.report.toy import START, Built, column, section_of


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
