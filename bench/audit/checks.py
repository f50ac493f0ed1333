"""Claims that follow from rows and cells: recompute, compare at the precision printed, judge what the data can carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from bench import stats
from bench.audit import arithmetic
from bench.audit import claims as kinds
from bench.audit.claims import Claim, ClaimFile
from bench.audit.finding import FAILS, HOLDS, OPEN, Finding, agreement, bounds, decimals, half_unit, mismatch, shown

RESAMPLES, FLIPS, SEED, LEVEL = 10_000, 100_000, 0, 0.05


def judge(file: ClaimFile, claim: Claim) -> Finding:
    """Check one claim."""
    checks: dict[type[Claim], Any] = {
        kinds.Difference: _difference,
        kinds.Mean: _mean,
        kinds.Paired: _paired,
        kinds.Spread: _spread,
        kinds.Improvement: _improvement,
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


def _rows(values: Sequence[Decimal]) -> stats.Rows:
    return stats.rows(range(len(values)), [float(value) for value in values])


def _difference(file: ClaimFile, claim: kinds.Difference) -> Finding:
    scale, digits = Decimal(claim.scale), decimals(claim.stated, 2)
    found = (Decimal(claim.after) - Decimal(claim.before)) * scale
    slack = (half_unit(claim.after) + half_unit(claim.before)) * scale
    facts: dict[str, Any] = {"stated": claim.stated or "–", "recomputed": shown(found, digits), "n": claim.n}
    numbers = {"recomputed": float(found)}
    if claim.stated and (wrong := mismatch(claim.stated, found, slack)):
        numbers |= {"low": float(found - slack), "high": float(found + slack)}
        return Finding(
            claim,
            FAILS,
            wrong,
            interval=f"{bounds(found - slack, found + slack, digits)} by rounding",
            rounding=agreement(claim.stated, found, slack) == "rounding",
            numbers=numbers,
            **facts,
        )
    if claim.n is None or claim.sd is None:
        return Finding(claim, HOLDS, "the cells give the same", numbers=numbers, **facts)
    error = claim.sd / math.sqrt(claim.n)
    low, high = float(found) - 1.96 * error, float(found) + 1.96 * error
    numbers |= {"low": low, "high": high, "smallest_detectable": 2.8 * error}
    facts |= {"interval": bounds(low, high, digits), "numbers": numbers}
    if low <= 0 <= high:
        reason = (
            f"{claim.n} items with sd {claim.sd:g} find a difference of {shown(2.8 * error, digits)} with 80 % power"
        )
        return Finding(claim, OPEN, reason, **facts)
    return Finding(claim, HOLDS, f"larger than the noise of {claim.n} items with sd {claim.sd:g}", **facts)


def _mean(file: ClaimFile, claim: kinds.Mean) -> Finding:
    values, digits = _values(file, claim.values), decimals(claim.stated)
    found = _average(values)
    slack = max(half_unit(text) for text in file.numbers(claim.values))
    estimate = stats.bootstrap_interval(_rows(values), count=RESAMPLES, seed=SEED)
    wrong = mismatch(claim.stated, found, slack)
    return Finding(
        claim,
        FAILS if wrong else HOLDS,
        wrong or f"the mean of the {len(values)} values",
        claim.stated,
        shown(found, digits),
        bounds(estimate.low, estimate.high, digits),
        n=len(values),
        rounding=agreement(claim.stated, found, slack) == "rounding",
        numbers={"recomputed": float(found), "low": estimate.low, "high": estimate.high},
    )


def _paired(file: ClaimFile, claim: kinds.Paired) -> Finding:
    before, after = _values(file, claim.before), _values(file, claim.after)
    gaps = [new - old for old, new in zip(before, after, strict=True)]
    found, digits, n = _average(gaps), decimals(claim.stated), len(gaps)
    old, new = (np.array([float(value) for value in values]) for values in (before, after))
    estimate = stats.paired_difference(old, new, count=RESAMPLES, seed=SEED)
    p, visible = float(stats.sign_flip(new - old, FLIPS, SEED)[0]), stats.smallest_detectable(new - old)
    numbers = {"recomputed": float(found), "low": estimate.low, "high": estimate.high, "p": p}
    facts: dict[str, Any] = {
        "stated": claim.stated or claim.direction,
        "recomputed": shown(found, digits),
        "interval": bounds(estimate.low, estimate.high, digits),
        "n": n,
        "numbers": numbers | {"smallest_detectable": visible},
    }
    if claim.stated and (wrong := mismatch(claim.stated, found)):
        return Finding(claim, FAILS, wrong, **facts)
    way = int(estimate.low > 0) - int(estimate.high < 0)
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


def _spread(file: ClaimFile, claim: kinds.Spread) -> Finding:
    columns = [_rows(_values(file, given)) for given in (claim.before, claim.after)]
    old, new = (stats.statistic(column, "std") for column in columns)
    before, after = stats.bootstrap(columns, [["std"], ["std"]], RESAMPLES, SEED)
    low, high = stats.interval(after["std"] - before["std"])
    way, wanted = int(low > 0) - int(high < 0), 1 if claim.direction == "higher" else -1
    seen = "rises" if new > old else "falls"
    reason = f"the standard deviation {seen} from {old:.3f} to {new:.3f}"
    if way == 0:
        reason += ", and its interval includes 0"
    return Finding(
        claim,
        HOLDS if way == wanted else OPEN if way == 0 else FAILS,
        reason,
        claim.direction,
        shown(new - old, 3),
        bounds(low, high, 3),
        n=columns[0].n,
        numbers={"recomputed": new - old, "low": low, "high": high},
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
        estimate = stats.paired_improvement(_rows(before), _rows(after), count=RESAMPLES, seed=SEED)
        interval = bounds(100 * estimate.low, 100 * estimate.high, digits)
        numbers |= {"low": 100 * estimate.low, "high": 100 * estimate.high}
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
