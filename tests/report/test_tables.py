"""The tables say what metrics.json says."""

from __future__ import annotations

import numpy as np
import pytest

from bench import report, stats
from bench.core import parameters, paths
from bench.report import tables
from tests.report.test_reward_hacking import view
from tests.report.toy import START, Built, column, section_of

SAFETY = [f"toxicity_{name}{output}" for name in ("judge", "reward") for output in ("", "_sampled")]


def test_every_quality_number_of_the_main_table_carries_its_interval(built: Built) -> None:
    lines = section_of(built[2], "Results").splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert list(rows)[2:] == ["human", "lead-3", *START]
    for variant in START:
        entry = built[1]["variants"][variant]["rouge1"]
        assert f"| {100 * entry['value']:.0f} ± {50 * (entry['high'] - entry['low']):.0f} |" in rows[variant]
    assert "8.0 %" in rows["lora"]  # 80,000 of 1,000,000


def test_slices_by_tag(built: Built) -> None:
    heated = column("full", "toxicity_judge")[::3]
    lines = [line for line in section_of(built[2], "By slice").splitlines() if line.startswith("| heated")]
    line = next(line for line in lines if "| full" in line)
    assert f"| {100 * heated.mean():.0f} [" in line
    assert "| 8 |" in line  # dialogues


def test_alignment_claims_only_what_the_corrected_test_allows(built: Built) -> None:
    lines = section_of(built[2], "What changed").splitlines()
    for name in ("ppo", "dpo"):
        for key, title in (("rouge1", "ROUGE-1"), ("toxicity_judge", "Toxicity (judge) (%)")):
            change = built[1]["changes"][name][key]
            line = next(x for x in lines if x.startswith(f"| {name} ← full ") and f"| {title} " in x)
            claimed = change["p_holm"] <= 0.05
            assert ("| ▲ better |" in line or "| ▼ worse |" in line) == claimed
            assert ("| ○ no change" in line) == (not claimed)


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
    assert sum(line.startswith(("| heated | ppo ← full |", "| calm | dpo ← full |")) for line in lines) == 2 * len(keys)
    first = section_of(built[2], "What changed").splitlines()
    assert sum(line.startswith(("| heated | ppo ", "| calm | dpo ")) for line in first) == 4  # primary and judge


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
    assert "| calm | ppo ← full |" in text and "`calm` of" not in text


def test_rows_that_are_the_same_for_every_system_are_named_below() -> None:
    made = view({"length_ratio": 0.2})
    for system in ("full", "ppo"):
        made.metrics["variants"][system]["empty"] = {"value": 0.0, "low": 0.0, "high": 0.0}
    text = tables.by_measure(made, ["length_ratio", "empty"])
    assert text.splitlines()[-1] == "The same for every system that has it: Empty (%) 0."
    assert [line.split(" |")[0] for line in text.splitlines()[2:3]] == ["| Words over the references' words"]
    assert "| Empty" not in text


def test_signatures_say_once_what_they_share() -> None:
    made = view()
    for system, names in (("full", ("rouge1", "words")), ("ppo", ("rouge1",))):
        made.metrics["variants"][system] = {
            key: {"signature": f"{key}|data:d|n:9" + ("|gen:x" if system == "full" else "")} for key in names
        }
        made.study.systems[system].columns.clear()
        made.study.systems[system].columns.update(dict.fromkeys(names))
    expected = "All: `data:d|n:9`\n\n**full**, `gen:x`:\n\n- `rouge1`\n- `words`\n\n**ppo**:\n\n- `rouge1`"
    assert tables.signature_list(made) == expected
