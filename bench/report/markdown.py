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
# What opens a heading, a list or a rule at the start of a line; '#Person1#' does not.
BLOCK = re.compile(r"^(#(?=#{0,5}(?: |$))|[+\-](?= |$|[- ]+$)|=(?==*$)|\d+(?=[.)](?: |$)))")


def cell(text: object) -> str:
    """Any text as the inside of a table cell: it shows as written, on one line, and is never markup, link or HTML."""
    safe = SPECIAL.sub(lambda found: ENTITIES.get(found[0], f"\\{found[0]}"), single_line(str(text)))
    return AUTOLINK.sub(_unlink, safe)


def line(text: object) -> str:
    """Any text as a line of its own: `cell`, and its start opens no heading, list or rule."""
    return BLOCK.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", cell(text))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table of finished cells: escape foreign text with `cell` first.

    The first `text_columns` are left-aligned, the others right-aligned. Empty string when there are no rows.
    """
    from tabulate import tabulate

    if not rows:
        return ""
    align = ["left"] * min(text_columns, len(headers)) + ["right"] * max(0, len(headers) - text_columns)
    # Number parsing would turn '1_0' into '10' and '12.50' into '12.5'.
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def code(text: object) -> str:
    """Any text in code style, for use outside tables; what a code span cannot hold is written as HTML."""
    shown = single_line(str(text))
    return f"<code>{cell(shown)}</code>" if "`" in shown or not shown else f"`{shown}`"


def bullets(items: Sequence[tuple[str, str]]) -> str:
    """A list of finished pieces, each with its name."""
    return "\n".join(f"- {name}: {text}" for name, text in items)


def section(title: str, *parts: str, level: int = 2) -> str:
    """A heading with its non-empty parts; an empty string when every part is empty."""
    body = [part for part in parts if part]
    return "\n\n".join([f"{'#' * level} {title}", *body]) if body else ""


def _unlink(found: re.Match[str]) -> str:
    """GitHub links bare addresses, names after '@' and issues after '#': this keeps the look without the link."""
    if found[1]:
        return ":&#47;&#47;"
    if found[2]:
        return f"{found[2]}&#46;"
    if found[3]:
        return f"{found[3]}&#58;"
    return f"{'&#64;' if found[0] == '@' else found[0]}{APART}"
