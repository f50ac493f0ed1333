"""The claims of a paper as data: claims/<name>.json, checked field by field when read.

Numbers stand in quotes, as printed: '0.0760' and '0.076' are the same value, and say different things about rounding.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, ValidationError

from bench.core import parsing
from bench.core.schema import Strict, UserError

NUMBER = r"^[+-]?[0-9]{1,15}(\.[0-9]{1,20})?$"
Printed = Annotated[str, Field(pattern=NUMBER)]
Positive = Annotated[int, Field(ge=1)]
Column = str | tuple[Printed, ...]  # a name in the file's `columns`, or the numbers themselves
LISTS = ConfigDict(strict=False)  # JSON has no tuples
DTYPES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


class Claim(Strict):
    """What every claim says: in words of ours, where it stands, and what a reader must know to judge it (an assumption).

    `quote` holds the source's own words, to the letter, and nothing else; it stays empty where they are not known.
    """

    model_config = LISTS

    claim: str = Field(min_length=1)
    source: str = Field(min_length=1)
    quote: str = ""
    note: str = ""


class Difference(Claim):
    """after - before, times `scale`, of two printed cells. With `n` and `sd` (of one item's difference, in the stated
    unit) it is also asked whether so many items can show it. With `percent` the source prints `stated` with a per cent
    sign, and it is also asked whether it is the change in per cent of `before`."""

    check: Literal["difference"]
    before: Printed
    after: Printed
    stated: Printed | None = None
    scale: int = Field(1, ge=1)
    percent: bool = False
    n: int | None = Field(None, ge=2)
    sd: float | None = Field(None, gt=0, allow_inf_nan=False)


class Mean(Claim):
    """The mean of a list."""

    check: Literal["mean"]
    values: Column
    stated: Printed


class Paired(Claim):
    """mean(after) - mean(before) of paired lists, and whether they show that `after` is what `direction` says."""

    check: Literal["paired"]
    before: Column
    after: Column
    stated: Printed | None = None
    direction: Literal["higher", "lower", "different"] = "different"


class Consistent(Claim):
    """Whether every pair moves the way that `direction` says."""

    check: Literal["consistent"]
    before: Column
    after: Column
    direction: Literal["higher", "lower"]


class Spread(Claim):
    """Whether the standard deviation of `after` is what `direction` says."""

    check: Literal["spread"]
    before: Column
    after: Column
    direction: Literal["higher", "lower"]


class Improvement(Claim):
    """100 (before - after) / before, of two printed cells or of the means of paired lists."""

    check: Literal["improvement"]
    before: Column
    after: Column
    stated: Printed


class Change(Claim):
    """100 (after - before) / before of the means of paired lists, and whether they show the way that `direction` says."""

    check: Literal["change"]
    before: Column
    after: Column
    direction: Literal["higher", "lower"]


class Limits(Claim):
    """Whether each of a list of numbers, or of differences `values` - `minus` times `scale`, lies within the limits.

    `above` must be exceeded. With `percent` the source prints a per cent sign, and it is also asked whether the changes
    in per cent of `minus` lie within.
    """

    check: Literal["limits"]
    values: Column
    minus: Column | None = None
    scale: int = Field(1, ge=1)
    percent: bool = False
    above: Printed | None = None
    at_least: Printed | None = None
    at_most: Printed | None = None


class Given(Claim):
    """Whether the source prints the columns that a claim is about."""

    check: Literal["given"]
    needs: tuple[str, ...] = Field(min_length=1)


class Lora(Claim):
    """Parameters that LoRA trains: r (d_in + d_out) for each adapted matrix, `blocks` blocks with these `modules`.

    An encoder-decoder has one attention block an encoder layer and two a decoder layer. `stated` is a count, or with
    `base_parameters` the share in per cent of all parameters, the adapter's included.
    """

    check: Literal["lora"]
    blocks: int = Field(ge=1)
    modules: dict[str, tuple[Positive, Positive]] = Field(min_length=1)
    r: int = Field(ge=1)
    base_parameters: int | None = Field(None, ge=1)
    stated: Printed


class Bytes(Claim):
    """The size of so many parameters; `tolerance` (in `unit`) replaces half a unit of the last digit printed."""

    check: Literal["bytes"]
    parameters: int = Field(ge=1)
    dtypes: tuple[Literal["float32", "float16", "bfloat16", "int8"], ...] = Field(("float32", "float16"), min_length=1)
    unit: Literal["B", "kB", "MB", "GB", "MiB", "GiB"]
    stated: Printed
    tolerance: Printed | None = None


class Count(Claim):
    """How many items a list has, or how many every k-th of `total` makes."""

    check: Literal["count"]
    items: Column | None = None
    total: int | None = Field(None, ge=1)
    every: int = Field(1, ge=1)
    stated: Printed


class Divergence(Claim):
    """A KL divergence in nats, a value or a range. Before the first update policy and start are the same weights."""

    check: Literal["kl"]
    stated: tuple[Printed, ...] = Field(min_length=1, max_length=2)
    first_step: bool = False
    tokens: int | None = Field(None, ge=1)


AnyClaim = Annotated[
    Difference
    | Mean
    | Paired
    | Consistent
    | Spread
    | Improvement
    | Change
    | Limits
    | Given
    | Lora
    | Bytes
    | Count
    | Divergence,
    Field(discriminator="check"),
]
TAGS = tuple(get_args(kind.model_fields["check"].annotation)[0] for kind in get_args(get_args(AnyClaim)[0]))


class ClaimFile(Strict):
    """A file: what it is about, columns of numbers that several claims use, and the claims."""

    model_config = LISTS

    about: str = Field(min_length=1)
    columns: dict[str, tuple[Printed, ...]] = Field(default_factory=dict)
    claims: tuple[AnyClaim, ...] = Field(min_length=1)

    def numbers(self, given: Column) -> tuple[str, ...]:
        """Return the numbers that a claim names or holds."""
        return given if isinstance(given, tuple) else self.columns.get(given, (given,))


def read(path: Path) -> ClaimFile:
    """Read a file of claims.

    Raises:
        UserError: the file is missing or broken, or one claim is wrong; the message names file, claim and field.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; claims lie in claims/<name>.json.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a JSON file of claims.") from None
    try:
        file = ClaimFile.model_validate(parsing.parse_json(content, str(path), "correct it there"))
    except ValidationError as error:
        raise UserError(f"{path}: {_sentence(error)}") from None
    for k, claim in enumerate(file.claims):
        _check(file, claim, f"{path}: claims[{k}]")
    return file


def _sentence(error: ValidationError) -> str:
    """The first mistake as `claims[3].stated: what is wrong; the fix`."""
    first = error.errors()[0]
    place = [part for k, part in enumerate(first["loc"]) if not (k == 2 and part in TAGS)]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".") or "the file"
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = str(first["input"].get("check", "")) if isinstance(first["input"], dict) else ""
        close = difflib.get_close_matches(given, sorted(TAGS), n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"write one of: {', '.join(sorted(TAGS))}."
        return f"{where}.check: there is no check '{given}'; {hint}"
    if first["type"] in ("string_type", "string_pattern_mismatch"):
        return f"{where}: {first['input']!r:.60} is no printed number; write it in quotes as printed, such as '0.0760'."
    if first["type"] == "extra_forbidden":
        return f"{where}: no such field; remove it, or write what it says into 'note'."
    return f"{where}: {first['msg']}; mend that field."


def _check(file: ClaimFile, claim: Claim, where: str) -> None:
    """Every column that a claim names exists, and lists that belong together are equally long."""
    lengths = {}
    for field in ("values", "minus", "items", "before", "after"):
        given = getattr(claim, field, None)
        if given is None:
            continue
        if isinstance(given, str) and given not in file.columns and not re.fullmatch(NUMBER.strip("^$"), given):
            close = difflib.get_close_matches(given, list(file.columns), n=1)
            hint = f"did you mean '{close[0]}'?" if close else "name one, or write the numbers."
            raise UserError(f"{where}.{field}: there is no column '{given}' in 'columns'; {hint}")
        lengths[field] = len(file.numbers(given))
    if "before" in lengths and lengths["before"] != lengths["after"]:
        raise UserError(
            f"{where}.after: {lengths['after']} numbers against {lengths['before']} in 'before'; pairs need equally many."
        )
    if "minus" in lengths and lengths["minus"] != lengths["values"]:
        raise UserError(
            f"{where}.minus: {lengths['minus']} numbers against {lengths['values']} in 'values'; write equally many."
        )
    short = next((field for field in lengths if lengths[field] < 2), None)
    if short and isinstance(claim, Paired | Consistent | Spread | Mean | Change):
        raise UserError(f"{where}.{short}: {lengths[short]} number, and a '{claim.check}' needs two or more; add them.")
    if isinstance(claim, Count) and (claim.items is None) == (claim.total is None):
        raise UserError(f"{where}: a 'count' needs either 'items' or 'total'; write one of them.")
    if isinstance(claim, Difference) and (claim.n is None) != (claim.sd is None):
        raise UserError(f"{where}: 'n' and 'sd' belong together; write both or none.")
    if isinstance(claim, Difference) and claim.stated is None and claim.n is None:
        raise UserError(f"{where}.stated: a 'difference' needs 'stated', or 'n' and 'sd'; write what is to be judged.")
    if isinstance(claim, Improvement | Change) and sum(map(float, file.numbers(claim.before))) == 0:
        other = "paired" if lengths.get("before", 1) > 1 else "difference"
        raise UserError(f"{where}.before: its mean is 0, and the change is a share of it; use check '{other}'.")
    if isinstance(claim, Limits):
        _check_limits(file, claim, where)
    elif isinstance(claim, Difference) and claim.percent:
        _check_percent(claim.stated is not None and claim.scale == 100, [claim.before], f"{where}.percent")


def _check_limits(file: ClaimFile, claim: Limits, where: str) -> None:
    """There is a limit, and differences that can be shares of what they start from where a per cent sign is printed."""
    if (claim.above, claim.at_least, claim.at_most) == (None, None, None):
        raise UserError(f"{where}: a 'limits' needs 'above', 'at_least' or 'at_most'; write what must be met.")
    if claim.percent:
        starts = file.numbers(claim.minus) if claim.minus is not None else ()
        _check_percent(claim.minus is not None and claim.scale == 100, starts, f"{where}.percent")


def _check_percent(possible: bool, starts: Sequence[str], where: str) -> None:
    """Points and per cent can be told apart: fractions times 100, and none of those they start from is 0."""
    if not possible or 0 in map(float, starts):
        raise UserError(
            f"{where}: per cent needs a stated difference of fractions above 0 and scale 100; mend or remove it."
        )
