"""Claims that follow from dimensions, counts or a definition: no data, no noise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bench.audit import claims as kinds
from bench.audit.claims import ClaimFile
from bench.audit.finding import FAILS, HOLDS, READING, READINGS, Finding, decimals, half_unit, mismatch, shown


def lora(file: ClaimFile, claim: kinds.Lora) -> Finding:
    count = claim.blocks * claim.r * sum(d_in + d_out for d_in, d_out in claim.modules.values())
    numbers, found, sign = {"parameters": float(count)}, Decimal(count), ""
    if claim.base_parameters is not None:
        found, sign = Decimal(100 * count) / Decimal(claim.base_parameters + count), " %"
    wrong = mismatch(claim.stated, found)
    reason = f"rank {claim.r} on {', '.join(claim.modules)} of {claim.blocks} blocks is {count:,} parameters"
    return Finding(
        claim,
        FAILS if wrong else HOLDS,
        reason + (f"; {wrong}" if wrong else ""),
        claim.stated + sign,
        shown(found, 4 if sign else 0) + sign,
        basis="the dimensions",
        numbers=numbers | {"recomputed": float(found)},
    )


def bytes(file: ClaimFile, claim: kinds.Bytes) -> Finding:
    sizes = {name: Decimal(claim.parameters * kinds.DTYPES[name]) / kinds.UNITS[claim.unit] for name in claim.dtypes}
    allowed = Decimal(claim.tolerance) if claim.tolerance else half_unit(claim.stated)
    fits = [name for name, size in sizes.items() if abs(size - Decimal(claim.stated)) <= allowed]
    listed = ", ".join(f"{shown(size, 2)} {claim.unit} in {name}" for name, size in sizes.items())
    reason = f"{claim.parameters:,} parameters; " + (
        f"{' and '.join(fits)} fits" if fits else f"none is {claim.stated} ± {allowed.normalize():f} {claim.unit}"
    )
    return Finding(
        claim,
        HOLDS if fits else FAILS,
        reason,
        f"{claim.stated} {claim.unit}",
        listed,
        basis="the parameters",
        numbers={name: float(size) for name, size in sizes.items()},
    )


def count(file: ClaimFile, claim: kinds.Count) -> Finding:
    found = len(file.numbers(claim.items)) if claim.items is not None else -(-(claim.total or 0) // claim.every)
    how = f"every {claim.every}th of {claim.total:,} items" if claim.total else f"the list has {found} items"
    same = Decimal(claim.stated) == found
    reason = (
        how
        if same
        else f"{how}, {abs(Decimal(claim.stated) - found)} {'more' if found > Decimal(claim.stated) else 'fewer'} than stated"
    )
    return Finding(
        claim, HOLDS if same else FAILS, reason, claim.stated, str(found), numbers={"recomputed": float(found)}
    )


def divergence(file: ClaimFile, claim: kinds.Divergence) -> Finding:
    ends = [Decimal(text) for text in claim.stated]
    per = ""
    if claim.tokens:
        per = " to ".join(shown(end / claim.tokens, 2) for end in ends)
        per = f"; {per} nats a token over {claim.tokens} tokens"
    facts: dict[str, Any] = {"stated": " to ".join(claim.stated), "basis": "the definition"}
    if claim.first_step and min(ends) > half_unit(claim.stated[0]):
        reason = "before the first update policy and start are the same weights, so this KL is to another reference"
        return Finding(claim, FAILS, reason + per, recomputed="0 nats", numbers={"recomputed": 0.0}, **facts)
    if min(ends) < 0:
        return Finding(claim, FAILS, f"a KL divergence is never negative{per}", recomputed="≥ 0", **facts)
    return Finding(claim, HOLDS, f"possible{per}", recomputed="≥ 0", **facts)


def limits(file: ClaimFile, claim: kinds.Limits) -> Finding:
    """Judge whether each number lies within the limits; with a per cent sign, in points and in per cent."""
    values = [Decimal(text) for text in file.numbers(claim.values)]
    starts = (
        [Decimal(text) for text in file.numbers(claim.minus)] if claim.minus is not None else [Decimal(0)] * len(values)
    )
    gaps = [(value - start) * claim.scale for value, start in zip(values, starts, strict=True)]
    digits = max(decimals(text) for text in file.numbers(claim.values)) - len(str(claim.scale)) + 1
    found, reason = _within(claim, gaps, max(digits, 0))
    numbers = {"low": float(min(gaps)), "high": float(max(gaps))}
    facts: dict[str, Any] = {"stated": _stated(claim), "recomputed": _span(gaps, max(digits, 0))}
    if not claim.percent:
        return Finding(claim, HOLDS if found else FAILS, reason, numbers=numbers, **facts)
    shares = [100 * (value - start) / start for value, start in zip(values, starts, strict=True)]
    numbers |= {"percent_low": float(min(shares)), "percent_high": float(max(shares))}
    facts["recomputed"] += f" points; {_span(shares, 1)} %"
    other, further = _within(claim, shares, 1)
    reason = f"in points {reason}; in per cent {further}"
    verdict = HOLDS if found and other else READING if found or other else FAILS
    reading = READINGS[0 if found else 1] if verdict == READING else ""
    return Finding(claim, verdict, reason, numbers=numbers, reading=reading, **facts)


def _within(claim: kinds.Limits, values: list[Decimal], digits: int) -> tuple[bool, str]:
    """Whether all lie within the limits, and how many do."""
    inside = [
        (claim.above is None or value > Decimal(claim.above))
        and (claim.at_least is None or value >= Decimal(claim.at_least))
        and (claim.at_most is None or value <= Decimal(claim.at_most))
        for value in values
    ]
    listed = f": {', '.join(shown(value, digits) for value in values)}" if len(values) <= 5 else ""
    return all(
        inside
    ), f"{sum(inside)} of {len(values)} {'is' if 1 in (sum(inside), len(values)) else 'are'} within{listed}"


def _span(values: list[Decimal], digits: int) -> str:
    low, high = shown(min(values), digits), shown(max(values), digits)
    return low if low == high else f"{low} to {high}"


def _stated(claim: kinds.Limits) -> str:
    """The limits in signs, with the source's per cent sign."""
    signs = ((">", claim.above), ("≥", claim.at_least), ("≤", claim.at_most))
    return ", ".join(f"{sign} {limit}{' %' if claim.percent else ''}" for sign, limit in signs if limit is not None)


def given(file: ClaimFile, claim: kinds.Given) -> Finding:
    """Judge whether the source prints what the claim is about; a claim about other columns does not follow from it."""
    missing = [name for name in claim.needs if name not in file.columns]
    printed = ", ".join(f"'{name}'" for name in file.columns) or "nothing"
    reason = f"no {' and no '.join(missing)} is printed; the source prints {printed}" if missing else "it is printed"
    return Finding(
        claim,
        FAILS if missing else HOLDS,
        reason,
        "–",
        "–",
        basis="what is printed",
        numbers={"recomputed": float(len(claim.needs) - len(missing))},
    )
