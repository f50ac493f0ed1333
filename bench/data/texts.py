"""A text's words, and its sentences by a rule of our own: rouge_score wants them for R-Lsum, and nltk's need a download."""

from __future__ import annotations

import re

SPLITTER = "bench-sentences-1"  # raise the number when the rule below changes: scores depend on it
# A sentence ends at . ! or ?, with any closing quotes and brackets, before white space and a word that does not begin
# in lower case; and at every line break. A point after one of these, or after a single capital, ends nothing.
ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "etc", "e.g", "i.e", "a.m", "p.m", "u.s", "u.k"]
)
_END = re.compile(r"""(?P<word>[^\s.!?]*(?:\.[^\s.!?]+)*)(?P<stop>[.!?]+)["'”’)\]]*(?P<gap>\s+)(?=\S)""")

WIDE_SPLITTER = "bench-sentences-2"
_WIDE_END = re.compile(r"""([。！？]+["'”’」』）)\]]*)""")


def wide_sentences(text: str) -> list[str]:
    """Split as `sentences` does, and at 。！？ too, which need no space after them."""
    return sentences(_WIDE_END.sub(r"\1\n", text))


def sentences(text: str) -> list[str]:
    """Split `text` into sentences by the rule above."""

    def cut(match: re.Match[str]) -> str:
        word, after = match["word"].lstrip("\"'“‘(["), text_of_line[match.end()]
        short = match["stop"] == "." and (word.lower() in ABBREVIATIONS or (len(word) == 1 and word.isupper()))
        return match[0] if short or after.islower() else match[0][: -len(match["gap"])] + "\n"

    parts = []
    for text_of_line in text.splitlines():
        parts += _END.sub(cut, text_of_line).split("\n")
    return [part.strip() for part in parts if part.strip()]


_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> list[str]:
    """List the words in lower case: letters, digits and inner apostrophes, without punctuation and markers' signs."""
    return _WORD.findall(text.lower())
