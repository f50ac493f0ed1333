"""The HTML file: contents, style and scripts in one document that may reach for nothing outside itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any

from bench.report import wording

# In this order they are one script; a name that one of them defines is known to all.
SCRIPTS = ("data.js", "words.js", "state.js", "list.js", "detail.js", "view.js")
# What ends a script element or opens a comment in it (`</script`, `<!--`), and what old readers of JavaScript take for the
# end of a line. In JSON each can be written otherwise.
ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})

# Words that a reader sees, for studies of other texts to replace.
SAID = re.compile(r"@((?:a )?dialogues?)@", re.IGNORECASE)


def page(data: dict[str, Any], of_dialogues: bool = True) -> str:
    """Put the contents into the page; returns HTML, which calls the rows examples if they are not `of_dialogues`.

    A policy in it lets its own style and script run, known by their digests, and nothing else, nor any network.
    """

    def part(name: str) -> str:
        return SAID.sub(lambda word: word[1] if of_dialogues else wording.of_examples(word[1], ()), _part(name))

    style, script = part("view.css"), "\n".join(map(part, SCRIPTS))
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPES)
    filled = {
        "STYLE_HASH": _digest(style),
        "SCRIPT_HASH": _digest(script),
        "STYLE": style,
        "DATA": text,
        "SCRIPT": script,
    }
    pieces, rest = [], part("view.html")
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
