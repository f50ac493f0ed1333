"""The words that differ between two texts, marked so that foreign text cannot break the page."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from bench.core.terminal import single_line
from bench.report.markdown import cell

Run = tuple[str, bool]  # some words, and whether they are in this text only


def runs(old: str, new: str) -> tuple[list[Run], list[Run]]:
    """Split both texts into runs of words, each common or this text's own.

    `autojunk` off: it drops frequent words from texts of 200 and more, and the marks with them.
    """
    before, after = single_line(old).split(), single_line(new).split()
    first, second = list[Run](), list[Run]()
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if j > i:
            first.append((" ".join(before[i:j]), kind != "equal"))
        if m > k:
            second.append((" ".join(after[k:m]), kind != "equal"))
    return first, second


def markdown(old: str, new: str) -> tuple[str, str]:
    """Mark table cells: what went is ~~struck~~, what came is **bold**."""
    first, second = runs(old, new)
    return _marked(first, "~~"), _marked(second, "**")


def terminal(old: str, new: str) -> tuple[str, str]:
    """Mark as `git diff --word-diff` does: [-gone-] and {+come+}."""
    first, second = runs(old, new)
    return (
        " ".join(f"[-{text}-]" if own else text for text, own in first),
        " ".join(f"{{+{text}+}}" if own else text for text, own in second),
    )


def _marked(some: list[Run], mark: str) -> str:
    return " ".join(_pieces(some, mark)) or "*nothing*"


def _pieces(some: list[Run], mark: str) -> Iterator[str]:
    for text, own in some:
        safe = cell(text)
        yield f"{mark}{safe}{mark}" if own else safe
