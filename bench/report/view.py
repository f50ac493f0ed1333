"""What tables and pictures look at, and how a number is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics import Column
from bench.report.markdown import cell
from bench.report.study import Study

# How a unit is printed: factor, decimals, and what the heading adds.
UNITS = {
    "points": (100.0, 1, ""),
    "share": (100.0, 1, " (%)"),
    "nats": (1.0, 3, " (nats)"),
    "logit": (1.0, 3, " (logit)"),
    "words": (1.0, 1, " (words)"),
    "ratio": (1.0, 3, ""),
}
NONE = "–"


@dataclass(frozen=True)
class View:
    """A study with its numbers: `metrics` and `costs` as in the JSON files, so that no table can say anything else."""

    study: Study
    metrics: dict[str, Any]
    slices: dict[str, Any]
    costs: dict[str, Any]

    @property
    def format(self) -> ColumnFormat:
        """How the columns' numbers are written."""
        return ColumnFormat(self.study.columns)

    @property
    def primary(self) -> str:
        """The column that the study declared ahead."""
        return self.study.params.report.primary

    @property
    def per_cent(self) -> str:
        """The confidence of the intervals."""
        return f"{100 * self.study.params.report.confidence:g} %"

    @property
    def level(self) -> float:
        """The chance of any false claim in a family of claims."""
        return self.study.params.report.claims

    def moved(self, change: dict[str, Any]) -> int:
        """Return -1 or 1 where the test, corrected for all of its table, says that a column fell or rose, else 0."""
        if change.get("p_holm", 1.0) > self.level:
            return 0
        return int(change["difference"] > 0) - int(change["difference"] < 0)

    def entry(self, system: str, key: str | None) -> dict[str, Any]:
        """Return the numbers of a column, empty where the system has none."""
        entry: dict[str, Any] = {**self.metrics["yardsticks"], **self.metrics["variants"]}.get(system, {}).get(key, {})
        return entry

    def result(self, system: str, key: str) -> str:
        """Format a value with its interval as a result; a collapsed variant has none."""
        return "collapsed" if system in self.metrics["collapsed"] else self.bounded(key, self.entry(system, key))

    def change(self, variant: str, key: str | None) -> dict[str, Any]:
        """Return the change of a column against the variant's start, empty where there is none."""
        change: dict[str, Any] = self.metrics["changes"].get(variant, {}).get(key, {})
        return change

    def heading(self, key: str) -> str:
        """Return the title of a column with its unit."""
        return cell(titled(self.study.columns[key]))

    def number(self, key: str, value: float | None, sign: bool = False) -> str:
        """Format one value in its column's unit."""
        if value is None:
            return NONE
        return self.format.number(key, value, sign)

    def detectable(self, key: str, value: float | None) -> str:
        """Format the smallest difference that would be found, to two digits; nothing where it prints as 0."""
        if value is None:
            return NONE
        text = self.format.number(key, value, sign=True).lstrip("+")
        return text if float(text) > 0 else NONE

    def finer(self, key: str, value: float) -> str:
        """Format a spread in its column's unit, with a digit more than the values."""
        return self.format.number(key, value, finer=1)

    def bounded(self, key: str, entry: dict[str, Any], field: str = "value", sign: bool = False) -> str:
        """Format a value with its interval: `74.3 ± 1.4`, and `2.1 [1.4, 5.0]` where that is not symmetric."""
        if field not in entry:
            return NONE
        low, high = ("low", "high") if field in ("value", "difference") else (f"{field}_low", f"{field}_high")
        return self.format.bounded(key, entry[field], entry.get(low), entry.get(high), sign)


class ColumnFormat:
    """Titles, factors and sides of columns by their names; a column that nobody knows any more is shown as it is."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = columns

    def factor(self, key: str) -> float:
        """Return what a value is multiplied by for print: 100 for points and shares."""
        return UNITS[self.columns[key].unit][0] if key in self.columns else 1.0

    def unit(self, key: str) -> str:
        """Return the name of what is printed."""
        name = self.columns[key].unit if key in self.columns else ""
        return "percentage points" if name == "share" else name

    def title(self, key: str) -> str:
        """Return the column's heading with its unit."""
        return titled(self.columns[key]) if key in self.columns else key

    def better(self, key: str) -> str | None:
        """Return the better side as the metric itself has it: `higher`, `lower` or neither."""
        side = self.columns[key].higher_is_better if key in self.columns else None
        return None if side is None else "higher" if side else "lower"

    def number(self, key: str, value: float, sign: bool = False, finer: int = 0) -> str:
        """Format one value in its column's unit."""
        return fixed(value * self.factor(key), self._decimals(key) + finer, sign)

    def bounded(self, key: str, value: float, low: float | None, high: float | None, sign: bool = False) -> str:
        """Format a value as precisely as its interval tells it; with ± where both arms print alike, else in brackets."""
        if low is None or high is None:
            return self.number(key, value, sign)
        if low == high:  # a system held against itself
            return "0" if value == 0 else self.number(key, value, sign)
        factor, most = self.factor(key), max(self._decimals(key), 2)
        decimals = min(significant_decimals(factor * (high - low) / 2), most)
        text = rounded(factor * value, decimals, sign)
        arms = [rounded(factor * arm, decimals) for arm in (value - low, high - value)]
        if float(arms[0]) == float(arms[1]) == 0:  # too narrow to print
            tiny = 0 < factor * value < 10.0**-most / 2
            return f"&lt; {10.0**-most:g}" if tiny and not sign else text
        if arms[0] == arms[1]:
            return f"{text} ± {arms[0]}"
        return f"{text} [{rounded(factor * low, decimals, sign)}, {rounded(factor * high, decimals, sign)}]"

    def _decimals(self, key: str) -> int:
        return UNITS[self.columns[key].unit][1] if key in self.columns else 3

    def difference(self, key: str, value: float) -> str:
        """Format a difference, which keeps a digit more to be seen."""
        return self.number(key, value, sign=True, finer=1)

    def interval(self, key: str, low: float, high: float) -> str:
        """Format the interval of a difference; nothing where it has none."""
        if math.isnan(low) or math.isnan(high):
            return ""
        return f"[{self.difference(key, low)}, {self.difference(key, high)}]"


def titled(column: Column) -> str:
    """Return a column's title, with its unit unless it says it itself."""
    unit = UNITS[column.unit][2]
    return column.title + ("" if unit.strip(" ()") in column.title.lower() else unit)


def significant_decimals(half_width: float) -> int:
    """Return how many decimals an interval of this half-width deserves: its own first digit, two where they are below 355.

    The rule of the Particle Data Group (Review of Particle Physics, section 5.3): 136 ± 3.5 is 136 ± 4, 66.52 ± 1.31 is
    66.5 ± 1.3. Never fewer than none; the caller bounds them for an interval of next to no width.
    """
    if not half_width > 0:
        return 0
    exponent = math.floor(math.log10(half_width))
    leading = round(half_width / 10.0**exponent * 100)  # 100 to 1000
    return max(0, (1 if leading < 355 else 0) - exponent)


def rounded(value: float, decimals: int, sign: bool = False) -> str:
    """Format with so many decimals, without a sign before 0."""
    text = f"{value:{'+' if sign else ''}.{decimals}f}"
    return text if float(text) != 0 else text.lstrip("+-")


def fixed(value: float, decimals: int, sign: bool = False) -> str:
    """Format with so many decimals; a small value that has no interval (not a difference) is never rounded away to 0."""
    text = rounded(value, decimals, sign)
    return text if float(text) != 0 or sign or abs(value) < 1e-9 else f"{value:.1g}"


def share(value: float | None, decimals: int = 1) -> str:
    """Format a share in per cent."""
    return NONE if value is None else f"{fixed(100 * value, decimals)} %"


def p_value(value: float | None) -> str:
    """Format a p to two digits, three below .1; a permutation test cannot say 0."""
    if value is None:
        return NONE
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"


def seconds(value: float | None) -> str:
    """Format a duration as people say it."""
    if value is None:
        return NONE
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def count(value: float | None) -> str:
    """Format a count in full, with thousands set off."""
    return NONE if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Format a rate: without decimals above 100, else three digits."""
    return NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(value: float | None) -> str:
    """Format bytes in the largest decimal unit that leaves at least 1."""
    if value is None:
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 100 * scale else f"{value / scale:.0f} {unit}"
    return f"{value:.0f} B"


NOT_SHOWN = "no change shown"  # the one way to say that a test allows no claim
NONE_POSSIBLE = "no change could be shown"  # not even if all that differs had moved to one side


def not_shown(detectable: str = NONE) -> str:
    """Say that no change is shown, with the change that so many dialogues would find with 80 % power, where known."""
    return NOT_SHOWN if detectable == NONE else f"{NOT_SHOWN}; ±{detectable} would be found"


def reading(view: View, key: str, change: dict[str, Any]) -> str:
    """Say what the test of a difference allows to claim; else the difference that would have been found."""
    if change.get("changed") == 0:
        return "identical"
    side, possible = view.moved(change), change.get("p_least", 0.0) <= view.level
    if side == 0 and not possible:
        return f"{NONE_POSSIBLE}: {count(change.get('changed'))} of {count(change.get('n'))} dialogues differ"
    if side == 0:
        return not_shown(view.detectable(key, change.get("smallest_detectable")))
    return side_word(side, view.study.columns[key].higher_is_better)


def relative(view: View, change: dict[str, Any]) -> str:
    """Format by how much a mean of toxicity changed, `, -61 %`, where the test shows it and its interval says something."""
    low = change.get("mean_improvement_low")
    if view.moved(change) == 0 or low is None or low < -1:
        return ""
    return f", {rounded(-100 * change['mean_improvement'], 0, sign=True)} %"


MARKS = {"better": "▲", "worse": "▼", "rises": "△", "falls": "▽"}


def marked(view: View, key: str, change: dict[str, Any]) -> str:
    """Put a sign before the reading of a change: ▲ better, ▼ worse, △ ▽ where no side is better, ○ where none is shown."""
    words = reading(view, key, change)
    return f"{MARKS.get(words, '○')} {words}"


def side_word(side: int, higher_is_better: bool | None) -> str:
    """Name the side to which a column moved (1 up, -1 down): the better or worse one, where it has one."""
    if higher_is_better is None:
        return "rises" if side > 0 else "falls"
    return "better" if (side > 0) == higher_is_better else "worse"
