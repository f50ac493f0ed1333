"""A report's words for what a study is about: its pages are written for dialogues and summaries."""

from __future__ import annotations

import re
from collections.abc import Iterable

OF_OTHER_TEXTS = {"dialogue": "example", "dialogues": "examples", "summary": "answer", "summaries": "answers"}
WORD = re.compile(rf"\b(a )?({'|'.join(OF_OTHER_TEXTS)})\b", re.IGNORECASE)
CODE = r"`[^`\n]*`|\]\([^)\n]*\)|</?[a-z][^>]*>"


def of_examples(text: str, kept: Iterable[str]) -> str:
    """Return a page with 'example' and 'answer' where it says 'dialogue' and 'summary', for a study of other texts.

    Code, links, tags and what is `kept`, the words of others, stay as they are.
    """
    left = "|".join([*map(re.escape, sorted(filter(None, kept), key=len, reverse=True)), CODE])
    return "".join(
        part if number % 2 else WORD.sub(_told, part) for number, part in enumerate(re.split(f"({left})", text))
    )


def _told(found: re.Match[str]) -> str:
    word = OF_OTHER_TEXTS[found[2].lower()]
    return f"{found[1].rstrip()}n {word}" if found[1] else word.capitalize() if found[2][0].isupper() else word
