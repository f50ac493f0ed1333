"""A variant's `sweep` -> one variant for each combination of its values, for DVC runs what stands in params.yaml by name.

`sweep: {adapter.r: [4, 16]}` of `lora` makes `lora-r4` and `lora-r16`; values that are no plain ones are named:
`sweep: {adapter: {ia3: {type: IA3}, dora: {type: LORA, use_dora: true}}}` makes `lora-ia3` and `lora-dora`.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bench.core.schema import UserError

KEY = "sweep"
MOST = 200  # variants of one sweep


def expanded(variants: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the variants with every sweep made into variants, in its place; `where` names the file in messages.

    Raises:
        UserError: a sweep names no values, or two of its variants would have one name.
    """
    found: dict[str, Any] = {}
    for name, block in variants.items():
        made = list(_of(name, block, where)) if isinstance(block, Mapping) and KEY in block else [(name, block)]
        for key, value in made:
            if key in found or (key != name and key in variants):
                raise UserError(
                    f"{where}: variants.{name}.{KEY}: two variants would be called '{key}'; name the values."
                )
            found[key] = value
    return found


def _of(name: str, block: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    swept = block[KEY]
    if not isinstance(swept, Mapping) or not swept:
        raise UserError(
            f"{where}: variants.{name}.{KEY}: must say which fields take which values, such as {{adapter.r: [4, 16]}}."
        )
    axes = [[(field, *each) for each in _values(name, str(field), values, where)] for field, values in swept.items()]
    combinations = list(itertools.product(*axes))
    if len(combinations) > MOST:
        raise UserError(f"{where}: variants.{name}.{KEY}: {len(combinations)} combinations; keep it to {MOST}.")
    for combination in combinations:
        made = {key: copy.deepcopy(value) for key, value in block.items() if key != KEY}
        for field, _, value in combination:
            _set(made, str(field), copy.deepcopy(value), f"{where}: variants.{name}.{KEY}.{field}")
        yield "-".join([name, *(label for _, label, _ in combination)]), made


def _values(name: str, field: str, values: Any, where: str) -> list[tuple[str, Any]]:
    """What each value of a field is called, and the value."""
    place = f"{where}: variants.{name}.{KEY}.{field}"
    if isinstance(values, Mapping) and values:
        return [(str(label), value) for label, value in values.items()]
    if not isinstance(values, list) or not values:
        raise UserError(f"{place}: must be a list of values, or a mapping from names to values.")
    if any(isinstance(value, Mapping | list) for value in values):
        raise UserError(f"{place}: values that are blocks need names; write a mapping from names to values.")
    last = field.rpartition(".")[2].replace("_", "-")
    return [(f"{last}{_shown(value)}", value) for value in values]


def _shown(value: Any) -> str:
    """A plain value as part of a name: lower-case letters, digits, '-' and '_'."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^a-z0-9_-]", "_", text.lower())


def _set(block: dict[str, Any], field: str, value: Any, place: str) -> None:
    *outer, last = field.split(".")
    for key in outer:
        inner = block.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UserError(f"{place}: '{key}' is no block; correct the field.")
        block = inner
    block[last] = value
