"""The diff: exactly what changed and nothing else, readable where it is pasted, whatever the summaries hold."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.compare.diff import changes, words
from bench.core.terminal import single_line
from bench.report.markdown import table

Bench = Callable[..., tuple[int, str, str]]
PARSER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
NASTY = "evil|pipe `tick` <b>x</b> [a](http://x.y) ~~no~~ **so** \x1b[31mred\x1b[0m $x$ \\ \x00 end"
HOSTILE = st.lists(
    st.sampled_from(
        [
            "|",
            "\\",
            "`",
            "\n",
            "<b>",
            "</td>",
            "<!--",
            "[a](b)",
            "![",
            "*",
            "**",
            "_",
            "~~",
            "~",
            "&lt;",
            "\x1b[31m",
            "\x00",
            "\u202e",
            "\ud800",
            "#",
            "- ",
            "> ",
            "$x$",
            "http://a.b",
            "a@b.c",
            "@name",
            "#12",
            "GH-3",
            " ",
            " ",
            "word",
            "same",
            "é",
            "日本",
            '"',
            "(",
            ")",
        ]
    ),
    max_size=14,
).map("".join)


@pytest.fixture
def turned(project: Any) -> Any:
    """One knob of one variant was turned, and committed."""
    project.texts = {name: [f"They meet at {k} in the park." for k in range(60)] for name in project.values}
    project.texts["lora"][9] = NASTY
    project.commit("before")
    project.params["variants"]["lora"]["adapter"]["r"] = 16
    project.drop("lora", 3)
    project.values["lora"]["rouge1"][9] -= 0.2
    project.texts["lora"][9] = NASTY.replace("pipe", "pipe|line") + " more"
    project.costs = {"lora": {"trainable_parameters": 400}}
    project.commit("after")
    return project


def test_what_changed_on_a_slice_stands_apart(project: Any, bench: Bench) -> None:
    project.slices = {"long": [f"d{k}" for k in range(15)]}
    project.commit("before")
    project.values["lora"]["rouge1"][:15] -= 0.04
    project.values["lora"]["rouge1"][15:] += 0.04 / 3
    project.write()
    _, out, _ = bench("diff", "HEAD", "--format", "json")
    [score] = json.loads(out)["slices"]
    assert (score["slice"], score["variant"], score["column"], score["n"]) == ("long", "lora", "rouge1", 15)
    assert score["difference"] == pytest.approx(-0.04, abs=1e-6) and score["high"] < 0
    assert json.loads(out)["scores"][0]["difference"] == pytest.approx(0, abs=1e-6)
    _, page, _ = bench("diff", "HEAD", "--format", "markdown")
    assert "#### On slices" in page and "on long" in page


def test_one_knob_shows_its_variant_alone(turned: Any, bench: Bench) -> None:
    code, out, err = bench("diff", "HEAD~1", "--format", "json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["changed"], told["unchanged"]) == (["lora"], ["baseline"])
    assert told["params"] == [{"key": "variants.lora.adapter.r", "before": "4", "after": "16"}]
    assert [(row["variant"], row["column"]) for row in told["scores"]] == [("lora", "rouge1")]
    [score] = told["scores"]
    assert score["difference"] == pytest.approx(-0.03 - 0.2 / 60, abs=1e-5)
    assert score["low"] < score["difference"] < score["high"] < 0
    assert (score["n"], score["rows_changed"]) == (60, 60)
    assert list(told["rows"]) == ["lora"]
    assert told["rows"]["lora"][0]["id"] == "t9"
    assert told["rows"]["lora"][0]["new_text"].endswith("more")
    changes = [abs(row["after"] - row["before"]) for row in told["rows"]["lora"]]
    assert len(changes) == 5
    assert changes == sorted(changes, reverse=True)
    assert [(cost["variant"], cost["measure"], cost["note"]) for cost in told["costs"]] == [
        ("lora", "trainable_parameters", "")
    ]
    assert (told["notes"], told["not_compared"]) == ([], [])


def test_the_markdown_keeps_its_shape_and_marks_the_words(turned: Any, bench: Bench) -> None:
    _, out, _ = bench("diff", "HEAD~1", "HEAD", "--format", "markdown")
    tokens = PARSER.parse(out)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 4  # params, scores, costs, rows
    assert "html_block" not in kinds
    rows = rows_of(tokens)
    assert [len(set(map(len, part))) for part in rows] == [1, 1, 1, 1]
    last = rows[-1][1]
    assert shown(last[0]) == "t9"
    assert "line" in marked(last[5], "strong_open")
    assert marked(last[4], "s_open")
    assert shown(last[5]) == single_line(NASTY.replace("pipe", "pipe|line") + " more")
    assert "unchanged: baseline" in out
    assert shown(tokens[1]).startswith("toy: HEAD~1 (")


def test_the_terminal_marks_words_as_git_does(turned: Any, bench: Bench) -> None:
    _, out, _ = bench("diff", "HEAD~1")
    assert "{+" in out
    assert "[-" in out
    assert "\x1b" not in out
    assert "lora: rows that changed most (ROUGE-1)" in out


def test_a_change_that_prints_as_nothing_is_neither_better_nor_worse(project: Any, bench: Bench) -> None:
    project.values["lora"]["rouge1"] += 0.00001
    project.costs = {"lora": {"train.peak_resident_bytes": 2000, "generate.generation_tokens_per_second": 100.0}}
    project.write()
    _, out, _ = bench("diff", "HEAD", "--format", "markdown")
    assert "| 0.00 [0.00, 0.00] | 0.0005 | too little to show |" in out
    assert "| lora | peak memory (train) | 1 kB | 2 kB | 2 |\n" in out
    assert "| lora | generation, tokens/s | 50 | 100 | 2 |\n" in out
    assert out.count("measured once") == 1


def test_costs_of_two_machines_have_no_ratio(project: Any, bench: Bench) -> None:
    project.drop("lora", 1)
    project.costs = {"lora": {"train.training_examples_per_second": 20.0, "train.machine": {"cpu": "Model A"}}}
    project.write()
    _, out, _ = bench("diff", "HEAD", "--format", "markdown")
    assert "| lora | training, examples/s | 10 | 20 | – |" in out
    assert "- training, examples/s: hardware differs: cpu 'Model T' before, 'Model A' now" in out


def test_nothing_changed_is_said(project: Any, bench: Bench) -> None:
    code, out, _ = bench("diff", "HEAD", "--format", "markdown")
    assert code == 0
    assert "0 of 2 variants changed" in out
    assert "unchanged: baseline, lora" in out
    assert "Scores" not in out


def test_without_summaries_the_values_are_shown(project: Any, bench: Bench) -> None:
    project.drop("lora", 1)
    project.commit()
    _, out, _ = bench("diff", "HEAD~1", "--format", "markdown")
    assert "The reports hold no summaries" in out
    assert [len(part[0]) for part in rows_of(PARSER.parse(out))][-1] == 4


def test_variants_come_and_go(project: Any, bench: Bench) -> None:
    project.values["ppo"] = project.values.pop("lora")
    project.params["variants"]["ppo"] = project.params["variants"].pop("lora")
    project.commit()
    told = json.loads(bench("diff", "HEAD~1", "--format", "json")[1])
    assert (told["added"], told["removed"], told["unchanged"]) == (["ppo"], ["lora"], ["baseline"])


def test_a_changed_signature_refuses_the_columns_it_stands_beside(project: Any, bench: Bench) -> None:
    metrics = project.metrics()
    metrics["variants"]["lora"]["words"]["signature"] = metrics["variants"]["lora"]["words"]["signature"].replace(
        "made-1", "made-2"
    )
    (project.report / "metrics.json").write_text(json.dumps(metrics))
    project.lock()
    code, out, _ = bench("diff", "HEAD", "--format", "json")
    assert code == 0
    told = json.loads(out)
    assert told["changed"] == ["lora"]
    assert told["not_compared"] == [
        "words of 'lora': signature field `implementation` differs, 'made-1' before and 'made-2' now; such numbers are never "
        "compared, score both states alike."
    ]


def test_other_data_are_not_compared_at_all(project: Any, bench: Bench) -> None:
    project.signature = project.signature.replace("1234abcd", "ffff")
    project.write()
    code, _, err = bench("diff", "HEAD")
    assert code == 2
    assert "signature field `data` differs" in err
    assert err.count("\n") == 1


def test_a_stale_report_is_shown_with_a_warning(project: Any, bench: Bench) -> None:
    (project.root / "params.yaml").write_text((project.root / "params.yaml").read_text().replace("r: 4", "r: 8"))
    code, out, _ = bench("diff", "HEAD")
    assert code == 0
    assert "warning: dvc.lock of the working tree is stale: stage 'train@lora'" in out


def test_folders_are_compared_without_a_repository(
    project: Any, bench: Bench, tmp_path: Path, monkeypatch: Any
) -> None:
    shutil.copytree(project.report, tmp_path / "old")
    project.drop("lora", 2)
    project.write()
    shutil.copytree(project.report, tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    code, out, _ = bench("diff", "old", "new/metrics.json", "--output", "made.txt")
    assert (code, out) == (0, "")
    assert "only a report, so its params are not known" in Path("made.txt").read_text()
    assert bench("diff", "old", "nowhere")[0] == 2


def test_params_are_flattened_by_dotted_key() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "gone": True, "empty": {}}
    new = {"a": {"b": 1.5, "c": [1]}, "come": None, "empty": {}}
    assert list(changes.turned(old, new)) == [
        changes.Param("a.b", "1", "1.5"),
        changes.Param("a.c", "[1, 2]", "[1]"),
        changes.Param("come", "absent", "null"),
        changes.Param("gone", "true", "absent"),
    ]


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE)
def test_marked_words_show_both_texts_and_nothing_else(old: str, new: str) -> None:
    made = table(["a", "b"], [list(words.markdown(old, new))], align="ll")
    [rows] = rows_of(PARSER.parse(made))
    assert [len(row) for row in rows] == [2, 2]
    for cell, text, mark in zip(rows[1], (old, new), ("s_open", "strong_open"), strict=True):
        page = "".join(child.content for child in cell.children or [])
        assert not re.search(r"(?i)@[a-z0-9]|#\d|\bgh-\d", page)  # nobody is called, no issue is mentioned
        if single_line(text):
            assert {child.type for child in cell.children or []} <= {
                "text",
                "text_special",
                mark,
                mark.replace("open", "close"),
            }
            assert shown(cell) == single_line(text)
    if single_line(old) == single_line(new):
        assert "strong_open" not in [child.type for child in rows[1][1].children or []]


def test_runs_are_a_partition_of_both_texts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        old, new = (" ".join(rng.choice(list("abcd"), rng.integers(0, 300))) for _ in range(2))
        first, second = words.runs(old, new)
        assert " ".join(text for text, _ in first) == old
        assert " ".join(text for text, _ in second) == new
        assert [text for text, own in first if not own] == [text for text, own in second if not own]


def test_frequent_words_of_a_long_text_are_still_compared() -> None:
    old = " ".join(["she says that"] * 100)
    assert words.runs(old, f"twice {old}") == ([(old, False)], [("twice", True), (old, False)])


def rows_of(tokens: list[Token]) -> list[list[list[Token]]]:
    """Every table as rows of inline tokens."""
    tables: list[list[list[Token]]] = []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.level >= 4:
            tables[-1][-1].append(token)
    return tables


def shown(inline: Token) -> str:
    """What a reader sees; the spaces without width that keep names from being called are not seen."""
    text = "".join(child.content for child in inline.children or [] if child.type in ("text", "text_special"))
    return text.replace("\u200b", "")


def marked(inline: Token, mark: str) -> str:
    """The text inside a mark."""
    said, inside = "", False
    for child in inline.children or []:
        inside = child.type == mark or (inside and child.type != mark.replace("open", "close"))
        said += child.content if inside and child.type in ("text", "text_special") else ""
    return said
