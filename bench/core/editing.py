"""A study's file changed by a command: comments, order and layout stay, and the active params.yaml stays in step."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.core import paths, storage, sweeps


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


def rewrite(path: Path, values: Mapping[str, Any], after: str | None = None) -> bool:
    """Set values in a study's file, and in params.yaml where that is the same study; tells whether it is."""
    text = path.read_text(encoding="utf-8")
    active = paths.PARAMS.exists() and paths.PARAMS.read_text(encoding="utf-8") == text
    new = edited(text, values, after)
    for file in [path, paths.PARAMS] if active else [path]:
        storage.write_text(file, new)
    return active
