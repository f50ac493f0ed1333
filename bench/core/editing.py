"""The text of a study changed by a command: comments, order and layout stay."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from bench.core import sweeps


def edited(text: str, values: Mapping[str, Any], after: str | None = None) -> str:
    """Set values by dotted key in the text of a YAML file; blocks on the way are made. New keys stand behind `after`."""
    layout = YAML()
    layout.preserve_quotes, layout.width = True, 1_000_000  # no line is broken
    tree = layout.load(text)
    for place, value in values.items():
        *blocks, key = place.split(".")
        block = tree
        for name in blocks:
            block = block.setdefault(name, {}) if block.get(name) is None else block[name]
        if key not in block and after in block:
            block.insert(list(block).index(after) + 1, key, value)
        block[key] = value
    out = io.StringIO()
    layout.dump(tree, out)
    return out.getvalue()


def with_sweeps(text: str, where: str) -> str:
    """Return the text of a study with its sweeps written out as variants; the text as it is where there are none."""
    layout = YAML()
    layout.preserve_quotes, layout.width = True, 1_000_000
    tree = layout.load(text)
    blocks = tree["variants"]
    if not any(sweeps.KEY in block for block in blocks.values()):
        return text
    made = sweeps.expanded(blocks, where)
    for place, (name, block) in enumerate(made.items()):
        if name not in blocks:
            blocks.insert(place, name, block)
    for name in [name for name in blocks if name not in made]:
        del blocks[name]
    out = io.StringIO()
    layout.dump(tree, out)
    return out.getvalue()
