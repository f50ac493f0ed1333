"""The HTML file: contents, style and scripts in one document that may reach for nothing outside itself."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

# In this order they are one script; a name that one of them defines is known to all.
SCRIPTS = ("data.js", "words.js", "state.js", "list.js", "detail.js", "view.js")
# What ends a script element or opens a comment in it (`</script`, `<!--`), and what old readers of JavaScript take for the
# end of a line. In JSON each can be written otherwise.
ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def page(data: dict[str, Any]) -> str:
    """Put the contents into the page; returns HTML.

    A policy in it lets its own style and script run, known by their digests, and nothing else, nor any network.
    """
    style, script = _part("view.css"), "\n".join(_part(name) for name in SCRIPTS)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPES)
    filled = {
        "STYLE_HASH": _digest(style),
        "SCRIPT_HASH": _digest(script),
        "STYLE": style,
        "DATA": text,
        "SCRIPT": script,
    }
    pieces, rest = [], _part("view.html")
    for name, value in filled.items():  # what is filled in is not looked through again
        before, mark, rest = rest.partition(f"@@{name}@@")
        if not mark:
            raise ValueError(f"view.html has no @@{name}@@, or not in this order")
        pieces += [before, value]
    return "".join([*pieces, rest])


def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text("utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls an inline style or script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
