"""Foreign text on one line of a terminal: a dialogue, a file's name or a params key may hold anything."""

from __future__ import annotations

import re
import unicodedata

# Terminal sequences: CSI (colours, cursor), OSC (titles, hyperlinks), and the two-character ones.
ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")


def single_line(text: str) -> str:
    """Return a text as one line without terminal sequences, control characters, direction marks or lone surrogates."""
    text = ANSI.sub("", text)
    kept = []
    for char in text:
        kind = unicodedata.category(char)
        if char.isspace() or kind in ("Zl", "Zp"):
            kept.append(" ")
        elif kind == "Cs":
            kept.append("\ufffd")
        elif kind not in ("Cc", "Cf"):
            kept.append(char)
    return " ".join("".join(kept).split())
