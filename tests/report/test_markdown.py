"""Foreign text in tables: whatever it holds, a real Markdown parser shows it as text and nothing else."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.core.terminal import single_line
from bench.metrics import Column
from bench.report import view
from bench.report.markdown import cell, code, folded, line, section, table

PARSER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
# Text made of what Markdown, HTML and terminals give a meaning to, beside any other text.
HOSTILE = st.lists(
    st.sampled_from(
        [
            "|",
            "\\",
            "`",
            "``",
            "\n",
            "\r\n",
            "\t",
            "<b>",
            "</td>",
            "<!--",
            "-->",
            "[a](b)",
            "![",
            "](",
            "*",
            "**",
            "_",
            "~~",
            "&lt;",
            "&#124;",
            "\x1b[31m",
            "\x1b]8;;http://a\x07",
            "\x9b1m",
            "\x00",
            "\u202e",
            "\u2028",
            "\ud800",
            "#",
            "- ",
            "1. ",
            "> ",
            "---",
            ":--",
            "$x$",
            "http://a.b",
            "www.a.b",
            "a@b.c",
            "@name",
            "#12",
            "GH-3",
            " ",
            "word",
            "é",
            "日本",
        ]
    ),
    max_size=12,
).map("".join)
# Names and issues, as GitHub finds them in the text of a finished page.
CALLS = re.compile(r"(?i)@[a-z0-9]|#\d|\bgh-\d")
TEXTS = st.one_of(HOSTILE, st.text(max_size=30))


def tokens(text: str) -> list[Token]:
    return PARSER.parse(text)


def shown(inline: Token) -> str:
    """What a reader sees of a cell; anything but plain text in it fails, and so does what GitHub would act on."""
    for child in inline.children or []:
        assert child.type in ("text", "text_special"), child
    text = "".join(child.content for child in inline.children or [])
    assert not CALLS.search(text)
    return text.replace("\u200b", "")


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=3))
@example([("\\", "\\|", "a\\")])
@example([("1_0", "12.50", "1e5")])
def test_a_table_keeps_its_cells_and_shows_them_as_written(rows: list[tuple[str, str, str]]) -> None:
    text = table(["a", "b", "c"], [[cell(value) for value in row] for row in rows])
    parsed = tokens(text)
    assert [token.type for token in parsed].count("table_open") == 1
    assert parsed[0].type == "table_open"
    assert parsed[-1].type == "table_close"
    body = [token for token in parsed if token.type == "inline"][3:]
    assert len(body) == 3 * len(rows)
    for token, value in zip(body, [value for row in rows for value in row], strict=True):
        assert shown(token) == single_line(value)


@settings(max_examples=120, deadline=None)
@given(TEXTS)
@example("1. x")
@example("===")
@example("# head")
@example("- - -")
@example("--")
@example("######")
@example("+")
@example("12)")
@example("    indented")
def test_a_line_is_one_paragraph_in_a_quotation(text: str) -> None:
    parsed = tokens(f"> {line(text)}")
    kinds = [token.type for token in parsed]
    assert kinds in (
        ["blockquote_open", "paragraph_open", "inline", "paragraph_close", "blockquote_close"],
        ["blockquote_open", "blockquote_close"],  # nothing was left of it
    )
    assert "".join(shown(token) for token in parsed if token.type == "inline") == single_line(text)


@settings(max_examples=120, deadline=None)
@given(TEXTS)
def test_control_characters_are_gone_and_the_rest_stays(text: str) -> None:
    safe = cell(text)
    assert not [char for char in safe if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert "<" not in safe
    assert ">" not in safe
    assert "|" not in safe
    safe.encode()
    assert cell(text) == cell(single_line(text))


@settings(max_examples=120, deadline=None)
@given(TEXTS)
def test_code_is_one_piece_of_code(text: str) -> None:
    [_, inline, _, *rest] = tokens(f"x {code(text)}")
    assert not rest
    assert {child.type for child in inline.children or []} <= {"text", "text_special", "code_inline", "html_inline"}
    tags = [child.content for child in inline.children or [] if child.type == "html_inline"]
    assert tags in ([], ["<code>", "</code>"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x.y\x07link\x1b]8;;\x07", "link"),
        ("a\nb\tc\u2029d", "a b c d"),
        ("a\u202eb\u200bc", "abc"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_plain_drops_what_terminals_obey(text: str, expected: str) -> None:
    assert single_line(text) == expected


def test_addresses_and_names_are_not_linked() -> None:
    github_like = MarkdownIt("commonmark", {"linkify": False})
    for text in ("http://a.b", "https://a.b/c", "www.a.b", "me@a.b", "@name", "mailto:me@a.b", "#12", "o/r#3", "gh-4"):
        safe = cell(text)
        assert not any(mark in safe for mark in ("://", "www.", "@", "mailto:"))
        page = github_like.render(safe)
        assert not CALLS.search(page)
        assert f"<p>{text}</p>\n" == page.replace("\u200b", "")


def test_a_turn_of_dialogsum_stays_readable() -> None:
    assert line("#Person1#: Hi, it is 5 o'clock - really?") == "&#35;Person1#: Hi, it is 5 o'clock - really?"


def test_a_section_without_content_is_nothing() -> None:
    assert section("T", "", "") == ""
    assert section("T", "x", "", level=3) == "### T\n\nx"
    assert table(["a"], []) == ""


@pytest.mark.parametrize(
    ("value", "decimals", "sign", "expected"),
    [
        (1.25, 1, False, "1.2"),
        (-0.01, 1, True, "0.0"),
        (0.0004, 1, False, "0.0004"),
        (0.0, 1, False, "0.0"),
        (0.34, 1, True, "+0.3"),
        (-2.0, 1, True, "-2.0"),
        (-1e-12, 1, False, "0.0"),
    ],
)
def test_fixed(value: float, decimals: int, sign: bool, expected: str) -> None:
    assert view.fixed(value, decimals, sign) == expected


def test_sizes_times_and_rates_are_as_people_say_them() -> None:
    assert [view.size(x) for x in (None, 12, 4_200, 3.1e6, 892e6, 1.2e9)] == [
        "–",
        "12 B",
        "4.2 kB",
        "3.1 MB",
        "892 MB",
        "1.2 GB",
    ]
    assert [view.seconds(x) for x in (None, 3.21, 150, 9000)] == ["–", "3.2 s", "2.5 min", "2.5 h"]
    assert [view.rate(x) for x in (None, 3.214, 15_000.4)] == ["–", "3.21", "15,000"]
    assert [view.p_value(x) for x in (None, 0.5, 0.0234, 0.0001)] == ["–", "0.50", "0.023", "0.0001"]


@pytest.mark.parametrize(
    ("half_width", "decimals"),
    # The Particle Data Group's own examples: .827 ± .119 -> .83 ± .12, .827 ± .367 -> .8 ± .4; and a width of thousands.
    [(0.119, 2), (0.367, 1), (1.31, 1), (3.5, 1), (3.55, 0), (9.6, 0), (42.0, 0), (4200.0, 0), (0.0, 0)],
)
def test_decimals_follow_the_rule_of_the_particle_data_group(half_width: float, decimals: int) -> None:
    assert view.significant_decimals(half_width) == decimals


@pytest.mark.parametrize(
    ("key", "value", "low", "high", "sign", "expected"),
    [
        ("points", 0.66518, 0.6520, 0.6783, False, "66.5 ± 1.3"),
        ("nats", 136.356, 132.785, 139.887, False, "136 ± 4"),
        ("nats", 0.4996, 0.470, 0.533, False, "0.500 [0.470, 0.533]"),
        ("share", 0.107, 0.081, 0.139, False, "10.7 [8.1, 13.9]"),
        ("points", -0.0196, -0.032, -0.008, True, "-2.0 ± 1.2"),
        ("points", 0.0, -0.012, 0.012, True, "0.0 ± 1.2"),
        ("points", -0.0004, -0.2, 0.2, True, "0 ± 20"),
        ("share", 0.00002, 0.000003, 0.012, False, "0.0 [0.0, 1.2]"),
        ("share", 0.5, 0.49999999, 0.50000001, False, "50.00"),
        ("nats", 2e-5, 1e-5, 3e-5, False, "&lt; 0.001"),
        ("nats", 0.0, 0.0, 0.0, False, "0"),
        ("points", 0.5, None, None, False, "50.0"),
        ("unknown", 2.0, 1.0, 3.0, False, "2.0 ± 1.0"),
    ],
)
def test_a_number_is_as_precise_as_its_interval(
    key: str, value: float, low: float | None, high: float | None, sign: bool, expected: str
) -> None:
    units = ("points", "nats", "share")
    format = view.ColumnFormat({unit: Column(title=unit, unit=unit, higher_is_better=None) for unit in units})
    assert format.bounded(key, value, low, high, sign) == expected


def test_a_fold_has_the_blank_lines_that_github_wants() -> None:
    assert folded("T", "", "| a |\n| --- |") == "<details>\n<summary>T</summary>\n\n| a |\n| --- |\n\n</details>"
    assert folded("T", "", "") == ""
