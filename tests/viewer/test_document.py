"""The file: hostile text is data and nothing else, and its policy lets nothing in but what it brings."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

from bench.viewer import document
from tests.viewer.conftest import HOSTILE, embedded

EVERY = "".join(chr(code) for code in (*range(0xD800), *range(0xE000, 0x11000)))


class Elements(HTMLParser):
    """The elements that a parser sees, comments among them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(f"comment: {data}")


def test_any_text_comes_back_as_it_was() -> None:
    for text in (HOSTILE, EVERY, "<!--<script>", "]]>", "\r\n\t\0"):
        assert embedded(document.page({"text": text})) == {"text": text}


def test_rows_that_are_no_dialogues_are_called_examples() -> None:
    plain, other = document.page({"study": "t"}), document.page({"study": "t"}, of_dialogues=False)
    for page, word in ((plain, "dialogue"), (other, "example")):
        assert f'aria-label="What is shown of {"an" if word == "example" else "a"} {word}"' in page
        assert f"Skip to the {word}<" in page and f'aria-label="{word.capitalize()}s"' in page
        assert f'"All {word}s"' in page and not re.search(r"@[\w ]+@", page)


def test_hostile_text_adds_no_element() -> None:
    plain, hostile = (document.page({text: [text]}) for text in ("text", HOSTILE))
    assert Elements(plain).found == Elements(hostile).found
    assert not any("comment" in one for one in Elements(hostile).found)
    held = re.search(r'<script id="data"[^>]*>(.*?)</script>', hostile, re.S)
    assert held and not set("<>&\u2028\u2029") & set(held[1])


def test_its_policy_lets_its_own_style_and_script_run_and_nothing_else() -> None:
    html = document.page({"text": HOSTILE})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, element in (("style-src", "style>"), ("script-src", 'script type="module">')):
        text = html.split(f"<{element}", 1)[1].split(f"</{element.split(' ')[0].rstrip('>')}>", 1)[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"


def test_it_loads_nothing() -> None:
    html = document.page({})
    assert not re.search(r"https?:|\bsrc=|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|document\.write", html)
