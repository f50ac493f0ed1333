"""What an audit finds of one claim, and how numbers are compared at the precision they were printed with."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bench.audit.claims import Claim

HOLDS, READING, FAILS, OPEN = "holds", "holds in one reading", "does not follow", "inconclusive"
READINGS = ("points", "per cent")
Agreement = Literal["same", "rounding", "off"]


@dataclass(frozen=True)
class Finding:
    """A claim with its verdict. `basis` is what it should follow from; `rounding` marks what rounding explains.

    `reading` is the one of READINGS in which it holds, where it does not hold in the other.
    """

    claim: Claim
    verdict: str
    reason: str
    stated: str
    recomputed: str
    interval: str = "–"
    basis: str = "the table"
    n: int | None = None
    rounding: bool = False
    reading: str = ""
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The verdict as a table says it."""
        if self.verdict == OPEN:
            return f"{OPEN} at n = {self.n}"
        if self.verdict == READING:
            return f"holds in {self.reading}, not in {READINGS[self.reading == READINGS[0]]}"
        return HOLDS if self.verdict == HOLDS else f"{FAILS} from {self.basis}"


def half_unit(printed: str) -> Decimal:
    """Return half a unit of the last digit printed: what rounding may have taken or added."""
    return Decimal((0, (5,), int(Decimal(printed).as_tuple().exponent) - 1))


def decimals(printed: str | None, otherwise: int = 4) -> int:
    """Count the digits behind the point."""
    return otherwise if printed is None else max(0, -int(Decimal(printed).as_tuple().exponent))


def agreement(stated: str, found: Decimal, slack: Decimal = Decimal(0)) -> Agreement:
    """Compare: `same` within half a unit of the last digit; `rounding` where the rounding of what went in explains it."""
    gap = abs(Decimal(stated) - found)
    return "same" if gap <= half_unit(stated) else "rounding" if gap <= half_unit(stated) + slack else "off"


def mismatch(stated: str, found: Decimal, slack: Decimal = Decimal(0)) -> str:
    """Tell why a stated number is not the recomputed one; empty where it is."""
    state, digits = agreement(stated, found, slack), decimals(stated)
    gap = shown(abs(Decimal(stated) - found), digits)
    if state == "same":
        return ""
    if state == "rounding":
        return f"off by {gap}, a rounding difference: inputs not yet rounded may give it"
    return f"off by {gap}, more than rounding explains"


def shown(value: float | Decimal, digits: int) -> str:
    """Format a number with so many decimals and no negative zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def bounds(low: float | Decimal, high: float | Decimal, digits: int) -> str:
    """Format `[low, high]`."""
    return f"[{shown(low, digits)}, {shown(high, digits)}]"
