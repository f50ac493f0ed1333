"""Markdown tables that stay small: a comment on a pull request has 65,536 characters, and padding is most of a table."""

from __future__ import annotations

from collections.abc import Sequence


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], sides: str) -> str:
    """A table of finished cells (escape foreign text with `markdown.cell`); `sides` has l or r for each column.

    Empty string when there are no rows.
    """
    if not rows:
        return ""
    rule = ["---:" if side == "r" else ":---" for side in sides]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows))
