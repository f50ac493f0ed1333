"""Claims that follow from dimensions, counts or a definition: no data, no noise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bench.audit import claims as kinds
from bench.audit.claims import ClaimFile
from bench.audit.finding import FAILS, HOLDS, Finding, half_unit, mismatch, shown


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
    facts: dict[str, Any] = {"stated": " to ".join(claim.stated) + " nats", "basis": "the definition"}
    if claim.first_step and min(ends) > half_unit(claim.stated[0]):
        reason = "before the first update policy and start are the same weights, so this KL is to another reference"
        return Finding(claim, FAILS, reason + per, recomputed="0 nats", numbers={"recomputed": 0.0}, **facts)
    if min(ends) < 0:
        return Finding(claim, FAILS, f"a KL divergence is never negative{per}", recomputed="≥ 0", **facts)
    return Finding(claim, HOLDS, f"possible{per}", recomputed="≥ 0", **facts)
