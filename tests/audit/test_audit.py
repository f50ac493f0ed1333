"""The audit against published figures, scipy and closed forms; broken claim files against their one sentence."""

from __future__ import annotations

import argparse
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from scipy import stats as scipy_stats

from bench import audit
from bench.audit import checks, claims, finding
from bench.commands import audit as command

ROOT = Path(__file__).resolve().parents[2]

# Table 4.2 of the thesis, and what recomputing it gives.
BEFORE = [
    2.351077,
    1.883278,
    1.587816,
    1.611620,
    0.772964,
    2.434810,
    1.360727,
    2.301333,
    1.165916,
    3.151282,
    1.537484,
    1.284117,
    1.457126,
    2.251136,
    2.855694,
    2.217947,
    1.776725,
]
AFTER = [
    2.948620,
    2.461895,
    1.953090,
    1.907171,
    1.032556,
    2.642623,
    1.429471,
    2.369421,
    1.167107,
    3.142738,
    1.517594,
    1.249279,
    1.392192,
    2.094307,
    2.664426,
    2.009304,
    1.562407,
]


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the audit of the shipped claims, made once from inside a folder without claims of its own."""
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert command.run(arguments()) == 0
    return folder / "reports"


def found(shipped: Path, *words: str) -> dict[str, Any]:
    """The one shipped finding whose claim and source hold all the words."""
    files = json.loads((shipped / "audit.json").read_text())["files"]
    rows = [row for file in files for row in file["findings"]]
    (one,) = [row for row in rows if all(word in f"{row['source']}: {row['claim']}" for word in words)]
    return one


def command_headline(shipped: Path) -> str:
    summary: str = json.loads((shipped / "audit.json").read_text())["summary"]
    return summary


def one(check: str, columns: dict[str, list[str]] | None = None, **fields: Any) -> finding.Finding:
    """The finding of a single claim."""
    block = {"check": check, "claim": "c", "source": "s"} | fields
    file = claims.ClaimFile.model_validate({"about": "a", "columns": columns or {}, "claims": [block]})
    return checks.judge(file, file.claims[0])


def test_table_4_2_is_recomputed_and_inconclusive(shipped: Path) -> None:
    before, after = found(shipped, "Table 4.2", "mean reward before"), found(shipped, "Table 4.2", "mean reward after")
    assert before["numbers"]["recomputed"] == pytest.approx(1.8824, abs=5e-5)
    assert after["numbers"]["recomputed"] == pytest.approx(1.9732, abs=5e-5)
    assert before["verdict"] == after["verdict"] == "does not follow"
    row = found(shipped, "Table 4.2", "significantly higher")
    assert row["verdict"] == "inconclusive"
    assert row["words"] == "inconclusive at n = 17"
    numbers = row["numbers"]
    assert numbers["recomputed"] == pytest.approx(0.0908, abs=5e-5)
    exact = scipy_stats.permutation_test(
        (np.subtract(AFTER, BEFORE),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert exact.pvalue == pytest.approx(0.166, abs=5e-4)
    assert numbers["p"] == pytest.approx(exact.pvalue, abs=4 * math.sqrt(0.166 * 0.834 / checks.FLIPS))
    gaps = np.subtract(AFTER, BEFORE)
    assert (numbers["low"], numbers["high"]) == pytest.approx(
        scipy_stats.ttest_1samp(gaps, 0).confidence_interval(), rel=1e-4
    )
    reach = scipy_stats.t.ppf(0.975, 16) + scipy_stats.t.ppf(0.8, 16)
    assert numbers["smallest_detectable"] == pytest.approx(reach * gaps.std(ddof=1) / math.sqrt(17), rel=1e-5)


def test_the_shipped_rows_are_those_of_the_table() -> None:
    file = claims.read(audit.SHIPPED / "thesis.json")
    assert [float(text) for text in file.columns["reward before"]] == BEFORE
    assert [float(text) for text in file.columns["reward after"]] == AFTER


def test_table_4_1_holds_in_points_and_not_in_per_cent(shipped: Path) -> None:
    rows = json.loads((shipped / "audit.json").read_text())["files"][0]["findings"]
    cells = [row for row in rows if "Table 4.1" in row["source"]][:8]
    want = [74.9, 114.9, 61.3, 61.2, -3.2, -9.5, -3.9, -4.0]
    assert [row["numbers"]["percent"] for row in cells] == pytest.approx(want, abs=0.051)
    wrong = [row for row in cells if row["verdict"] != "holds in one reading"]
    assert {row["words"] for row in cells if row not in wrong} == {"holds in points, not in per cent"}
    assert [(row["claim"].split(", ")[1], row["stated"], row["rounding"]) for row in wrong] == [
        ("ROUGE-2", "-1.70 %", True),
        ("ROUGE-L", "-1.34 %", True),
    ]
    assert [row["numbers"]["recomputed"] for row in wrong] == pytest.approx([-1.71, -1.33])
    assert all("off by 0.01, a rounding difference" in row["reason"] for row in wrong)


@pytest.mark.parametrize(
    ("quote", "words", "numbers"),
    [
        ("+17.47 %", "holds in points, not in per cent", {"recomputed": 17.47, "percent": 74.85}),
        (
            "in every region PEFT surpasses the baseline by over 17.47 %",
            "does not follow from the table",
            {"low": 8.73, "high": 17.47},
        ),
        ("1-2 % lower ROUGE", "holds in points, not in per cent", {"low": -1.71, "percent_low": -9.479}),
        ("fell by 1.7 %", "holds in points, not in per cent", {"recomputed": -1.71, "percent": -9.479}),
        ("without any loss", "does not follow from the table", {"low": -1.71, "high": -1.33}),
        ("consistent increase in reward", "does not follow from the table", {"up": 9, "down": 8, "p": 1}),
        ("increased enormously", "inconclusive at n = 17", {"recomputed": 4.822}),
        ("probability", "does not follow from the table", {"low": 0.772964, "high": 3.15128}),
        ("significantly lower toxicity", "does not follow from what is printed", {"recomputed": 0}),
        ("more than 250 million parameters", "does not follow from the table", {"high": 247577856}),
        ("Steady KL values 27-29", "does not follow from the definition", {"recomputed": 0}),
    ],
)
def test_each_quotation_has_its_verdict(shipped: Path, quote: str, words: str, numbers: dict[str, float]) -> None:
    rows = json.loads((shipped / "audit.json").read_text())["files"][0]["findings"]
    (row,) = [row for row in rows if row["quote"] == quote]
    assert row["words"] == words
    assert {name: row["numbers"][name] for name in numbers} == pytest.approx(numbers, rel=2e-4)
    assert f"| “{quote}”: " in (shipped / "audit.md").read_text()


def test_words_that_are_not_the_source_s_stand_in_no_quotation(shipped: Path) -> None:
    rows = json.loads((shipped / "audit.json").read_text())["files"]
    quotes = [row["quote"] for file in rows for row in file["findings"] if row["quote"]]
    assert len(quotes) == len(set(quotes)) == 11  # those of the test above, and no others
    assert not any("nats" in quote or "first step" in quote for quote in quotes)
    page = (shipped / "audit.md").read_text()
    assert page.count("| reported as: ") == 43 - 11
    (steady,) = [line for line in page.splitlines() if "Steady KL" in line]
    assert "| 27 to 29 |" in steady  # the unit is ours, and stands in the note


@pytest.mark.parametrize("name", ["ROUGE-1", "ROUGE-2", "ROUGE-L,", "ROUGE-Lsum"])
@pytest.mark.parametrize("pair", ["full fine-tuning beats", "LoRA beats", "LoRA falls behind"])
def test_every_rouge_of_the_deck_is_judged_by_student_s_t(shipped: Path, pair: str, name: str) -> None:
    row = found(shipped, "deck", pair, name)
    (block,) = [c for c in claims.read(audit.SHIPPED / "tuning-deck.json").claims if c.claim == row["claim"]]
    assert isinstance(block, claims.Difference) and block.n == 10 and block.sd
    low, high = scipy_stats.t.interval(0.95, 9, row["numbers"]["recomputed"], block.sd / math.sqrt(10))
    assert (row["numbers"]["low"], row["numbers"]["high"]) == pytest.approx((low, high), rel=1e-4)
    assert row["verdict"] == ("holds" if low > 0 or high < 0 else "inconclusive")


def test_two_rewards_have_the_interval_of_two(shipped: Path) -> None:
    """A percentile interval of two rows ends at the rows, here above 0; Student's with one degree does not."""
    numbers = found(shipped, "deck", "reward of two")["numbers"]
    want = scipy_stats.ttest_rel([1.981302, 2.370514], [1.169774, 2.017895]).confidence_interval()
    assert (numbers["low"], numbers["high"]) == pytest.approx(want, rel=1e-4)
    assert numbers["low"] < 0


@pytest.mark.parametrize(
    ("words", "verdict", "value"),
    [
        (("16 dialogues",), "does not follow", 17),
        (("from the two stated means",), "does not follow", 0.145),
        (("-9.84", "from the 17 rows"), "does not follow", -4.822),
        (("-9.84", "from the stated means"), "does not follow", -7.949),
        (("less variance",), "inconclusive", np.std(AFTER, ddof=1) / np.std(BEFORE, ddof=1)),
        (("1.4 %",), "holds", 1.409281),
        (("125 training",), "holds", 125),
        (("KL of PPO",), "does not follow", 0),
        (("deck", "full fine-tuning beats", "ROUGE-1"), "holds", 17.20348),
        (("deck", "LoRA beats", "ROUGE-1"), "inconclusive", 2.28652),
        (("deck", "reward of two"), "inconclusive", 0.582074),
    ],
)
def test_the_other_shipped_claims(shipped: Path, words: tuple[str, ...], verdict: str, value: float) -> None:
    row = found(shipped, *words)
    assert row["verdict"] == verdict
    assert row["numbers"]["recomputed"] == pytest.approx(value, rel=2e-4)


def test_the_adapter_is_not_10_mb_in_any_precision(shipped: Path) -> None:
    row = found(shipped, "10 MB")
    assert row["verdict"] == "does not follow"
    assert row["numbers"] == pytest.approx({"float32": 14.155776, "bfloat16": 7.077888}, rel=1e-5)


@pytest.mark.parametrize(
    ("modules", "r", "count"),
    [("q,v", 4, 442368), ("q,v", 8, 884736), ("q,v", 32, 3538944), ("q,v", 64, 7077888), ("q,k,v,o", 32, 7077888)],
)
def test_lora_counts_of_flan_t5_base(modules: str, r: int, count: int) -> None:
    block: dict[str, Any] = {"blocks": 36, "modules": {m: [768, 768] for m in modules.split(",")}, "r": r}
    assert one("lora", **block, stated=str(count)).verdict == "holds"
    assert one("lora", **block, stated=str(count + 1)).verdict == "does not follow"
    tied = one(
        "lora",
        **block | {"r": 32, "modules": {"q": [768, 768], "v": [768, 768]}},
        base_parameters=222903552,
        stated="1.5628",
    )
    assert tied.verdict == "holds"


@pytest.mark.parametrize(
    ("before", "after", "stated", "verdict", "rounding"),
    [
        ("0.10", "0.20", "0.10", "holds", False),
        ("0.10", "0.20", "0.1", "holds", False),
        ("0.10", "0.20", "0.11", "does not follow", True),
        ("0.10", "0.20", "0.108", "does not follow", True),  # within the rounding of both cells, not of one
        ("0.10", "0.20", "0.115", "does not follow", False),
        ("0.1", "0.2", "0.15", "does not follow", True),  # the same gap, but cells printed more coarsely
        ("0.10", "0.2049", "0.1", "holds", False),
    ],
)
def test_differences_are_judged_at_the_precision_printed(
    before: str, after: str, stated: str, verdict: str, rounding: bool
) -> None:
    result = one("difference", before=before, after=after, stated=stated)
    assert (result.verdict, result.rounding) == (verdict, rounding)


def test_a_difference_with_n_is_judged_by_its_noise() -> None:
    block: dict[str, Any] = {"before": "40", "after": "41", "sd": 9.0}
    assert one("difference", **block, n=500).verdict == "holds"  # 1 against 1.965 * 9 / sqrt(500) = 0.791
    open_one = one("difference", **block, n=300)  # against 1.018
    assert open_one.words == "inconclusive at n = 300"
    assert open_one.numbers["low"] == pytest.approx(1 - scipy_stats.t.ppf(0.975, 299) * 9 / math.sqrt(300))
    assert one("difference", **block, n=500, stated="2").verdict == "does not follow"


def test_paired_claims_hold_fail_and_stay_open() -> None:
    rng = np.random.default_rng(0)
    old = rng.normal(0, 1, 40)
    new = old + 0.5 + rng.normal(0, 0.3, 40)
    columns = {"old": [f"{x:.4f}" for x in old], "new": [f"{x:.4f}" for x in new]}
    gap = f"{np.mean([Decimal(b) - Decimal(a) for a, b in zip(*columns.values(), strict=True)]):.3f}"
    judged = {
        way: one("paired", columns, before="old", after="new", direction=way)
        for way in ("higher", "lower", "different")
    }
    assert {way: result.verdict for way, result in judged.items()} == {
        "higher": "holds",
        "lower": "does not follow",
        "different": "holds",
    }
    assert one("paired", columns, before="old", after="new", stated=gap).verdict == "holds"
    assert one("paired", columns, before="old", after="new", stated="0.9").verdict == "does not follow"
    few = {name: values[:4] for name, values in columns.items()}
    assert "cannot reach p = 0.05" in one("paired", few, before="old", after="new").reason


def test_spread_holds_where_the_interval_excludes_0() -> None:
    rng = np.random.default_rng(1)
    columns = {"wide": [f"{x:.4f}" for x in rng.normal(0, 2, 60)], "narrow": [f"{x:.4f}" for x in rng.normal(0, 1, 60)]}
    assert one("spread", columns, before="wide", after="narrow", direction="lower").verdict == "holds"
    assert one("spread", columns, before="wide", after="narrow", direction="higher").verdict == "does not follow"


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"stated": ["0.0"], "first_step": True}, "holds"),
        ({"stated": ["27", "29"], "first_step": True, "tokens": 30}, "does not follow"),
        ({"stated": ["27", "29"], "tokens": 30}, "holds"),
        ({"stated": ["-3"]}, "does not follow"),
    ],
)
def test_kl_is_0_at_the_first_step_and_never_negative(fields: dict[str, Any], verdict: str) -> None:
    result = one("kl", **fields)
    assert result.verdict == verdict
    assert ("0.90 to 0.97 nats a token" in result.reason) == ("tokens" in fields)


def test_the_page_renders_as_tables_and_foreign_words_stay_words(shipped: Path, workdir: Path) -> None:
    nasty = "a|b <script>x</script> [l](http://x.y) `t`"
    file = {
        "about": nasty,
        "claims": [
            {"check": "count", "claim": nasty, "source": nasty, "note": nasty, "items": ["1", "2"], "stated": "2"}
        ],
    }
    (workdir / "claims").mkdir()
    (workdir / "claims" / "mine.json").write_text(json.dumps(file))
    assert command.run(arguments()) == 0  # a file in claims/ is audited beside those shipped
    for page in (shipped / "audit.md", workdir / "reports" / "audit.md"):
        text = page.read_text()
        html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        assert "<script" not in html and "href=" not in html
        assert html.count("<table>") >= 4
        assert html.count("<h1>") == 1
    assert "## mine" in text
    own = command_headline(shipped)
    assert own.startswith("43 claims: 7 hold, 8 hold in one reading of a per cent sign alone, 16 do not follow (2 of ")
    assert f"{own.replace('43 claims: 7 hold', '44 claims: 8 hold')}." in text


def test_the_audit_is_equal_to_the_byte_when_run_again(shipped: Path, workdir: Path) -> None:
    command.run(arguments("--out", "again"))
    for name in ("audit.md", "audit.json"):
        assert (workdir / "again" / name).read_bytes() == (shipped / name).read_bytes()


def test_strict_fails_unless_every_claim_holds(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = {"check": "count", "claim": "c", "source": "s", "items": ["1", "2"], "stated": "2"}
    for stated, status in (("2", 0), ("3", 1)):
        Path("mine.json").write_text(json.dumps({"about": "a", "claims": [block | {"stated": stated}]}))
        assert command.run(arguments("mine.json", "--strict")) == status
        assert command.run(arguments("mine.json")) == 0
    assert "does not follow from the table" in capsys.readouterr().out


def test_the_committed_audit_is_that_of_the_shipped_claims(shipped: Path) -> None:
    for name in ("audit.md", "audit.json"):
        assert (ROOT / "reports" / name).read_bytes() == (shipped / name).read_bytes()


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ("20", "holds in points, not in per cent"),  # .20 to .40
        ("100", "holds in per cent, not in points"),
        ("30", "does not follow from the table"),
    ],
)
def test_a_per_cent_sign_is_read_in_both_ways(stated: str, words: str) -> None:
    found = one("difference", before="0.20", after="0.40", scale=100, percent=True, stated=stated)
    assert found.words == words
    assert found.numbers["percent"] == pytest.approx(100)
    columns = {"old": ["0.20", "0.10"], "new": ["0.40", "0.20"]}
    block: dict[str, Any] = {"values": "new", "minus": "old", "scale": 100, "percent": True}
    limits = {"20": {"at_most": "20"}, "100": {"at_least": "100"}, "30": {"above": "20", "at_most": "99"}}[stated]
    assert one("limits", columns, **block, **limits).words == words
    assert one("limits", columns, **block, at_least="1").words == "holds"


def test_consistent_is_every_pair() -> None:
    columns = {"old": ["1", "2", "3"], "new": ["2", "3", "4"], "odd": ["2", "3", "3"]}
    assert one("consistent", columns, before="old", after="new", direction="higher").verdict == "holds"
    assert one("consistent", columns, before="old", after="odd", direction="higher").verdict == "does not follow"
    assert one("consistent", columns, before="old", after="new", direction="lower").verdict == "does not follow"


def test_given_asks_for_what_is_printed() -> None:
    assert one("given", {"toxicity": ["1"]}, needs=["toxicity"]).verdict == "holds"
    assert "no toxicity is printed" in one("given", {"reward": ["1"]}, needs=["toxicity"]).reason
