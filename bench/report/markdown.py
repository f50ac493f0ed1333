"""Markdown that foreign text cannot break: a dialogue may hold pipes, tags, links, escapes and line ends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.core.terminal import single_line

# As entities, these characters are text to every parser; a backslash is not enough inside tables and before '$'.
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "`": "&#96;", "$": "&#36;"}
SPECIAL = re.compile(r"[&<>|\\`$]|[*_\[\]~]")
AUTOLINK = re.compile(r"(?i)(?<=[a-z])(://)|\b(www)\.|(mailto|xmpp)(:)|@|(?<!&)#(?=\d)|\bgh-(?=\d)")
# GitHub looks for names and numbers of issues in the finished page, where an entity is the character itself again: only
# a space without width keeps "@name" from calling somebody, and "#12" from being noted in issue 12.
APART = "&#8203;"
# What opens a heading, a list or a rule at the start of a line. '#Person1#' is no heading to GitHub, but to other readers.
BLOCK = re.compile(r"^(#|[+\-](?= |$|[- ]+$)|=(?==*$)|\d+(?=[.)](?: |$)))")


def cell(text: object) -> str:
    """Escape any text as the inside of a table cell: it shows as written, on one line, never markup, link or HTML."""
    safe = SPECIAL.sub(lambda match: ENTITIES.get(match[0], f"\\{match[0]}"), single_line(str(text)))
    return AUTOLINK.sub(_unlink, safe)


def line(text: object) -> str:
    """Escape any text as a line of its own: `cell`, and its start opens no heading, list or rule."""
    return BLOCK.sub(lambda match: f"&#{ord(match[0][0])};{match[0][1:]}", cell(text))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1, align: str = "") -> str:
    """Lay out a Markdown table of finished cells: escape foreign text with `cell` first.

    The first `text_columns` are left-aligned, the others right-aligned, unless `align` has l or r for each column. Cells
    are not padded: a comment on a pull request has 65,536 characters, and padding is most of a table; and a number that
    becomes wider would change every line. Empty string when there are no rows.
    """
    if not rows:
        return ""
    sides = align or "l" * min(text_columns, len(headers)) + "r" * max(0, len(headers) - text_columns)
    rule = ["---:" if side == "r" else ":---" for side in sides]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows))


def code(text: object) -> str:
    """Set any text in code style, for use outside tables; what a code span cannot hold is written as HTML."""
    shown = single_line(str(text))
    return f"<code>{cell(shown)}</code>" if "`" in shown or not shown else f"`{shown}`"


def bullets(items: Sequence[tuple[str, str]]) -> str:
    """List finished pieces, each with its name."""
    return "\n".join(f"- {name}: {text}" for name, text in items)


def section(title: str, *parts: str, level: int = 2) -> str:
    """Put a heading over its non-empty parts; an empty string when every part is empty."""
    body = joined(*parts)
    return joined(f"{'#' * level} {title}", body) if body else ""


def joined(*parts: str) -> str:
    """Put non-empty parts below each other, with a blank line between."""
    return "\n\n".join(part for part in parts if part)


def folded(title: str, *parts: str) -> str:
    """Fold non-empty parts under a line to click on; an empty string when every part is empty.

    GitHub wants the blank lines: without them Markdown inside an HTML block stays as it is written.
    """
    body = joined(*parts)
    return joined(f"<details>\n<summary>{title}</summary>", body, "</details>") if body else ""


def _unlink(match: re.Match[str]) -> str:
    """GitHub links bare addresses, names after '@' and issues after '#': this keeps the look without the link."""
    if match[1]:
        return ":&#47;&#47;"
    if match[2]:
        return f"{match[2]}&#46;"
    if match[3]:
        return f"{match[3]}&#58;"
    return f"{'&#64;' if match[0] == '@' else match[0]}{APART}"
