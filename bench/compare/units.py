"""How a number of a column is printed, in the terms of the report."""

from __future__ import annotations

from bench.compare.snapshot import Snapshot
from bench.metrics import Column
from bench.report.view import UNITS, fixed, titled


class Units:
    """Titles, factors and sides of the columns; the newer state knows best, the older one what that has lost."""

    def __init__(self, old: Snapshot, new: Snapshot) -> None:
        self.columns: dict[str, Column] = {**old.columns, **new.columns}

    def factor(self, column: str) -> float:
        """What a value is multiplied by for print: 100 for points and shares."""
        return UNITS[self.columns[column].unit][0] if column in self.columns else 1.0

    def unit(self, column: str) -> str:
        """The name of what is printed."""
        named = self.columns[column].unit if column in self.columns else ""
        return "percentage points" if named == "share" else named

    def title(self, column: str) -> str:
        """The column's heading with its unit."""
        if column not in self.columns:
            return column
        return titled(self.columns[column])

    def better(self, column: str) -> str | None:
        """The better side as the metric itself has it: `higher`, `lower` or neither."""
        side = self.columns[column].higher_is_better if column in self.columns else None
        return None if side is None else "higher" if side else "lower"

    def show(self, column: str, value: float, sign: bool = False) -> str:
        """One value; a small difference keeps enough digits to be seen."""
        decimals = UNITS[self.columns[column].unit][1] if column in self.columns else 3
        return fixed(value * self.factor(column), decimals + sign, sign)

    def interval(self, column: str, low: float, high: float) -> str:
        """The interval of a difference."""
        return f"[{self.show(column, low, True)}, {self.show(column, high, True)}]"
