"""Claims that follow from rows and cells: recompute, compare at the precision printed, judge what the data can carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from bench import stats
from bench.audit import arithmetic, intervals
from bench.audit import claims as kinds
from bench.audit.claims import Claim, ClaimFile
from bench.audit.finding import (
    FAILS,
    HOLDS,
    OPEN,
    READING,
    READINGS,
    Finding,
    agreement,
    bounds,
    decimals,
    half_unit,
    mismatch,
    shown,
)

FLIPS, SEED, LEVEL = 100_000, 0, 0.05


def judge(file: ClaimFile, claim: Claim) -> Finding:
    """Check one claim."""
    checks: dict[type[Claim], Any] = {
        kinds.Difference: _difference,
        kinds.Mean: _mean,
        kinds.Paired: _paired,
        kinds.Consistent: _consistent,
        kinds.Spread: _spread,
        kinds.Improvement: _improvement,
        kinds.Change: _change,
        kinds.Limits: arithmetic.limits,
        kinds.Given: arithmetic.given,
        kinds.Lora: arithmetic.lora,
        kinds.Bytes: arithmetic.bytes,
        kinds.Count: arithmetic.count,
        kinds.Divergence: arithmetic.divergence,
    }
    finding: Finding = checks[type(claim)](file, claim)
    return finding


def _values(file: ClaimFile, given: kinds.Column) -> list[Decimal]:
    return [Decimal(text) for text in file.numbers(given)]


def _average(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def _floats(values: Sequence[Decimal]) -> stats.Floats:
    return np.array([float(value) for value in values])


def _difference(file: ClaimFile, claim: kinds.Difference) -> Finding:
    scale, digits = Decimal(claim.scale), decimals(claim.stated, 2)
    found = (Decimal(claim.after) - Decimal(claim.before)) * scale
    slack = (half_unit(claim.after) + half_unit(claim.before)) * scale
    facts: dict[str, Any] = {"stated": claim.stated or "–", "recomputed": shown(found, digits), "n": claim.n}
    numbers = {"recomputed": float(found)}
    if claim.stated and (claim.percent or mismatch(claim.stated, found, slack)):
        return _printed_difference(claim, claim.stated, found, slack)
    if claim.n is None or claim.sd is None:
        return Finding(claim, HOLDS, "the cells give the same", numbers=numbers, **facts)
    error = claim.sd / math.sqrt(claim.n)
    reach, visible = intervals.quantile(claim.n) * error, intervals.detectable(error, claim.n)
    low, high = float(found) - reach, float(found) + reach
    numbers |= {"low": low, "high": high, "smallest_detectable": visible}
    facts |= {"interval": bounds(low, high, digits), "numbers": numbers}
    if low <= 0 <= high:
        reason = f"{claim.n} items with sd {claim.sd:g} find a difference of {shown(visible, digits)} with 80 % power"
        return Finding(claim, OPEN, reason, **facts)
    return Finding(claim, HOLDS, f"larger than the noise of {claim.n} items with sd {claim.sd:g}", **facts)


def _printed_difference(claim: kinds.Difference, stated: str, found: Decimal, slack: Decimal) -> Finding:
    """A stated difference that is off, or that a per cent sign lets read in two ways."""
    digits, wrong = decimals(stated), mismatch(stated, found, slack)
    numbers, recomputed, reading, off = {"recomputed": float(found)}, shown(found, digits), "", bool(wrong)
    reason = wrong or "the cells give the same"
    if claim.percent:
        share = 100 * (Decimal(claim.after) - Decimal(claim.before)) / Decimal(claim.before)
        numbers["percent"], recomputed = float(share), f"{recomputed} points; {share:+.1f} %"
        other = agreement(stated, share)
        reading = READINGS[0] if not wrong and other != "same" else READINGS[1] if wrong and other == "same" else ""
        off = bool(wrong) and other != "same"
        reason = f"in points {reason}; in per cent of {claim.before} it is {share:+.1f}"
    interval = "–"
    if wrong:
        numbers |= {"low": float(found - slack), "high": float(found + slack)}
        interval = f"{bounds(found - slack, found + slack, digits)} by rounding"
    return Finding(
        claim,
        FAILS if off else READING if reading else HOLDS,
        reason,
        stated + (" %" if claim.percent else ""),
        recomputed,
        interval,
        rounding=agreement(stated, found, slack) == "rounding",
        reading=reading,
        numbers=numbers,
    )


def _mean(file: ClaimFile, claim: kinds.Mean) -> Finding:
    values, digits = _values(file, claim.values), decimals(claim.stated)
    found = _average(values)
    slack = max(half_unit(text) for text in file.numbers(claim.values))
    low, high = intervals.mean(_floats(values))
    wrong = mismatch(claim.stated, found, slack)
    return Finding(
        claim,
        FAILS if wrong else HOLDS,
        wrong or f"the mean of the {len(values)} values",
        claim.stated,
        shown(found, digits),
        bounds(low, high, digits),
        n=len(values),
        rounding=agreement(claim.stated, found, slack) == "rounding",
        numbers={"recomputed": float(found), "low": low, "high": high},
    )


def _paired(file: ClaimFile, claim: kinds.Paired) -> Finding:
    before, after = _values(file, claim.before), _values(file, claim.after)
    gaps = [new - old for old, new in zip(before, after, strict=True)]
    found, digits, n = _average(gaps), decimals(claim.stated), len(gaps)
    rows = _floats(gaps)
    low, high = intervals.mean(rows)
    p, visible = float(stats.sign_flip(rows, FLIPS, SEED)[0]), intervals.detectable(stats.standard_error(rows), n)
    numbers = {"recomputed": float(found), "low": low, "high": high, "p": p}
    facts: dict[str, Any] = {
        "stated": claim.stated or claim.direction,
        "recomputed": shown(found, digits),
        "interval": bounds(low, high, digits),
        "n": n,
        "numbers": numbers | {"smallest_detectable": visible},
    }
    if claim.stated and (wrong := mismatch(claim.stated, found)):
        return Finding(claim, FAILS, wrong, **facts)
    way = int(low > 0) - int(high < 0)
    if way == 0 or p > LEVEL:
        reason = f"p = {p:.3f} by sign flips; {n} pairs find a difference of {shown(visible, digits)} with 80 % power"
        if 2 ** (1 - n) > LEVEL:
            reason = f"p = {p:.2f}; {n} pairs cannot reach p = {LEVEL:g} whatever their values"
        elif way:
            reason += "; the interval excludes 0 and the test does not reject"
        return Finding(claim, OPEN, reason, **facts)
    if claim.direction != "different" and way != (1 if claim.direction == "higher" else -1):
        return Finding(claim, FAILS, f"the pairs show the opposite, p = {p:.3g} by sign flips", **facts)
    return Finding(claim, HOLDS, f"p = {p:.3g} by sign flips", **facts)


def _consistent(file: ClaimFile, claim: kinds.Consistent) -> Finding:
    from scipy.stats import binomtest

    pairs = list(zip(_values(file, claim.before), _values(file, claim.after), strict=True))
    up, down = sum(new > old for old, new in pairs), sum(new < old for old, new in pairs)
    p = float(binomtest(up, up + down).pvalue) if up + down else 1.0
    with_it = up if claim.direction == "higher" else down
    return Finding(
        claim,
        HOLDS if with_it == len(pairs) else FAILS,
        f"{up} of {len(pairs)} pairs rise, {down} fall; p = {p:.3g} by the sign test",
        f"all {claim.direction}",
        f"{with_it} of {len(pairs)}",
        n=len(pairs),
        numbers={"recomputed": float(with_it), "up": float(up), "down": float(down), "p": p},
    )


def _spread(file: ClaimFile, claim: kinds.Spread) -> Finding:
    before, after = (_floats(_values(file, given)) for given in (claim.before, claim.after))
    old, new = float(np.std(before, ddof=1)), float(np.std(after, ddof=1))
    low, high = intervals.deviation_ratio(before, after)
    way, wanted = int(low > 1) - int(high < 1), 1 if claim.direction == "higher" else -1
    reason = f"the standard deviation {'rises' if new > old else 'falls'} from {old:.3f} to {new:.3f}"
    if way == 0:
        reason += ", and the interval of their ratio includes 1"
    return Finding(
        claim,
        HOLDS if way == wanted else OPEN if way == 0 else FAILS,
        reason,
        claim.direction,
        f"× {shown(new / old, 3) if old else '–'}",
        bounds(low, high, 3),
        n=len(before),
        numbers={"recomputed": new / old if old else math.nan, "low": low, "high": high},
    )


def _change(file: ClaimFile, claim: kinds.Change) -> Finding:
    before, after = (_values(file, given) for given in (claim.before, claim.after))
    old, new = _average(before), _average(after)
    found = 100 * (new - old) / old
    low, high = (100 * end for end in intervals.relative_change(_floats(before), _floats(after)))
    way, wanted = int(low > 0) - int(high < 0), 1 if claim.direction == "higher" else -1
    return Finding(
        claim,
        HOLDS if way == wanted else OPEN if way == 0 else FAILS,
        f"({shown(new, 4)} - {shown(old, 4)}) / {shown(old, 4)}; the interval {'excludes' if way else 'includes'} 0",
        claim.direction,
        f"{found:+.1f} %",
        bounds(low, high, 1),
        n=len(before),
        numbers={"recomputed": float(found), "low": low, "high": high},
    )


def _improvement(file: ClaimFile, claim: kinds.Improvement) -> Finding:
    before, after = _values(file, claim.before), _values(file, claim.after)
    digits, old, new = decimals(claim.stated), _average(before), _average(after)
    found = 100 * (old - new) / old
    slack, interval, numbers = Decimal(0), "–", {"recomputed": float(found)}
    if len(before) == 1:
        halves = [half_unit(file.numbers(given)[0]) for given in (claim.before, claim.after)]
        corners = [
            100 * (b - a) / b
            for b, a in itertools.product((old - halves[0], old + halves[0]), (new - halves[1], new + halves[1]))
            if b
        ]
        slack = max(abs(corner - found) for corner in corners)
    else:
        # an improvement is a fall: the ends of the rise change places
        high, low = (-100 * end for end in intervals.relative_change(_floats(before), _floats(after)))
        interval = bounds(low, high, digits)
        numbers |= {"low": low, "high": high}
    wrong = mismatch(claim.stated, found, slack)
    verdict = FAILS if wrong else OPEN if numbers.get("low", 1) <= 0 <= numbers.get("high", 1) else HOLDS
    reason = wrong or ("the interval includes 0" if verdict == OPEN else "the cells give the same")
    return Finding(
        claim,
        verdict,
        f"({shown(old, 4)} - {shown(new, 4)}) / {shown(old, 4)}: {reason}",
        f"{claim.stated} %",
        f"{shown(found, digits)} %",
        interval,
        n=len(before),
        rounding=agreement(claim.stated, found, slack) == "rounding",
        numbers=numbers,
    )
