"""A part of params.yaml -> its type; the first thing wrong in it -> one sentence that names file, field and fix."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.core import plugins
from bench.core.schema import Strict, UserError


def validated(model: type[Strict], value: Any, where: str, name: str) -> Any:
    """Type `value` as a `model`; `where` is its dotted place in the file that messages call `name`.

    Raises:
        UserError: a field is wrong; one sentence names it.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors()  # a misspelt key is also a missing one, and the spelling is what helps
        first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
        loc = [str(part) for part in first["loc"]]
        field = ".".join(([where] if where else []) + loc)
        if first["type"] == "extra_forbidden":
            known = sorted(_model_at(model, loc[:-1]).model_fields)
            raise UserError(f"{name}: {field}: unknown key; {plugins.nearest(loc[-1], known)}") from None
        if first["type"] == "missing":
            raise UserError(f"{name}: {field}: missing; add it (see studies/ for working files).") from None
        raise UserError(f"{name}: {field}: {first['msg']}, got {shown(first['input'])}; correct it.") from None


def shown(value: Any) -> str:
    """Format a value as messages quote it."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list that holds itself
        return f"{type(value).__name__} that cannot be shown"


def _model_at(model: type[BaseModel], loc: list[str]) -> type[BaseModel]:
    """The model that a nested location lies in, through optional, union and mapping types."""
    for part in loc:
        if part in model.model_fields:  # else the tag of a union, an index, or the key of a mapping
            model = next(_models_in(model.model_fields[part].annotation), model)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type holds, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)
