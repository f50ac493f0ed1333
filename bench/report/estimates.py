"""Every number about quality that the report states: a study -> metrics.json and the slices."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from typing import Any

import numpy as np

from bench import stats
from bench.report import text_statistics
from bench.report.inputs import Study

Draws = dict[str, stats.Floats]
Place = tuple[str, str, bytes]  # system, column, the dialogues it is restricted to
DIGITS = 6


def rounded(value: float) -> float:
    """Round to six significant digits, without a negative zero: what is stored and compared."""
    return float(f"{value:.{DIGITS}g}") + 0.0


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """Keep the entries that exist: a number that is not finite is left out, for JSON has no word for it."""
    return {
        key: rounded(value) if isinstance(value, float) else value
        for key, value in values.items()
        if value is not None and (not isinstance(value, float) or math.isfinite(value))
    }


class Resampled:
    """The columns of a study under shared resamples: every column over the same dialogues sees the same draws.

    `want` notes what is needed, `run` draws once for each set of dialogues, `draws` looks up.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.settings = study, study.params.report
        self.wanted: dict[Place, tuple[stats.Rows, set[str]]] = {}
        self.drawn: dict[Place, Draws] = {}

    def want(self, system: str, key: str, statistics: Iterable[str], members: stats.Ints | None = None) -> stats.Rows:
        """Note that these statistics are needed, over the dialogues `members` or all that the column has."""
        column = self.study.systems[system].columns[key]
        if members is not None and len(members) < column.n:
            column = stats.restrict(column, members)
        place = (system, key, column.members.tobytes())
        statistics = set(statistics) - {"max"}  # the bootstrap says nothing true about a maximum
        self.wanted.setdefault(place, (column, set()))[1].update(statistics)
        return self.wanted[place][0]

    def run(self) -> None:
        """Draw what is wanted."""
        groups: dict[bytes, list[Place]] = {}
        for place in self.wanted:
            groups.setdefault(place[2], []).append(place)
        for places in groups.values():
            columns = [self.wanted[place][0] for place in places]
            names = [sorted(self.wanted[place][1]) for place in places]
            drawn = stats.bootstrap(columns, names, self.settings.resamples, self.settings.seed)
            self.drawn |= dict(zip(places, drawn, strict=True))

    def draws(self, system: str, key: str, column: stats.Rows) -> Draws:
        """Look up the draws of a column that `want` returned."""
        return self.drawn[system, key, column.members.tobytes()]

    def interval(self, draws: stats.Floats) -> tuple[float, float]:
        """Return the interval of draws at the study's confidence."""
        return stats.interval(draws, self.settings.confidence)


def measure(study: Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute the contents of metrics.json, and the slices {tag: {system: {column: value}}} that only the report shows."""
    shared = Resampled(study)
    collapsed = text_statistics.collapsed(study)
    complete = {
        (system, key): shared.want(system, key, study.columns[key].statistics)
        for system, scores in study.systems.items()
        for key in scores.columns
    }
    paired = {(new, old, key): _pair(shared, new, old, key) for new, old, key in _comparable(study, collapsed)}
    sliced = {
        (tag, system, key): shared.want(system, key, ["mean"], np.intersect1d(members, complete[system, key].members))
        for tag, members in _tags(study).items()
        for system, key in complete
        if key in _sliced(study) and np.isin(members, complete[system, key].members).any()
    }
    shared.run()
    values: dict[str, Any] = {system: {} for system in study.systems}
    for (system, key), column in complete.items():
        values[system][key] = _entry(shared, system, key, column, study.columns[key].statistics)
        values[system][key]["signature"] = study.systems[system].signatures[key]
    slices: dict[str, Any] = {}
    for (tag, system, key), column in sliced.items():
        slices.setdefault(tag, {}).setdefault(system, {})[key] = _entry(shared, system, key, column, ["mean"])
    metrics = {
        "study": study.params.study,
        "n_dialogues": len(study.dialogues),
        "collapsed": finite(collapsed),
        "variants": {variant: values[variant] for variant in study.params.variants},
        "yardsticks": {system: values[system] for system in values if system not in study.params.variants},
        "changes": _changes(shared, paired),
    }
    return metrics, slices


def _sliced(study: Study) -> list[str]:
    return [study.params.report.primary, *study.keys("safety")]


def _tags(study: Study) -> dict[str, stats.Ints]:
    """The dialogues of each tag, where a tag splits the test split at all."""
    order = {dialogue: k for k, dialogue in enumerate(study.dialogues)}
    members: dict[str, set[int]] = {}
    for example in study.examples:
        for tag in example.tags:
            members.setdefault(tag, set()).add(order[example.dialogue_id])
    return {tag: np.array(sorted(members[tag])) for tag in sorted(members) if 2 <= len(members[tag]) < len(order)}


def _entry(shared: Resampled, system: str, key: str, column: stats.Rows, statistics: Iterable[str]) -> dict[str, Any]:
    draws = shared.draws(system, key, column)
    low, high = shared.interval(draws["mean"])
    entry = {
        "value": stats.statistic(column, "mean"),
        "low": low,
        "high": high,
        "se": stats.standard_error(stats.cluster_means(column)),
        "n": column.n,
    }
    for statistic in statistics:
        if statistic != "mean":
            entry[statistic] = stats.statistic(column, statistic)
        if statistic != "mean" and statistic in draws:
            entry[f"{statistic}_low"], entry[f"{statistic}_high"] = shared.interval(draws[statistic])
    return finite(entry)


def _comparable(study: Study, collapsed: Container[str]) -> Iterator[tuple[str, str, str]]:
    """(variant, its start, column) wherever both have the column with the same signature; a collapsed variant's scores
    are no result to compare.
    """
    for variant in study.params.variants:
        start = study.start(variant)
        if start is None or variant in collapsed:
            continue
        new, old = study.systems[variant], study.systems[start]
        for key in new.columns:
            if study.columns[key].of_source:  # no variant changes the dialogues
                continue
            if key in old.columns and _unsized(new.signatures[key]) == _unsized(old.signatures[key]):
                yield variant, start, key


def _unsized(signature: str) -> str:
    """A signature without its last part, the number of dialogues: comparing takes the common ones."""
    return signature.rsplit("|n:", 1)[0]


def _pair(shared: Resampled, new: str, old: str, key: str) -> tuple[stats.Rows, stats.Rows]:
    columns = [shared.study.systems[name].columns[key] for name in (new, old)]
    members = np.intersect1d(columns[0].members, columns[1].members)
    wanted = ["mean", "std"] if shared.study.columns[key].role == "safety" else ["mean"]
    return shared.want(new, key, wanted, members), shared.want(old, key, wanted, members)


def _changes(shared: Resampled, paired: dict[tuple[str, str, str], tuple[stats.Rows, stats.Rows]]) -> dict[str, Any]:
    """Each variant against its start. Holm's family is one column over all variants compared."""
    gaps = {place: stats.cluster_means(new) - stats.cluster_means(old) for place, (new, old) in paired.items()}
    tests = stats.sign_flips(list(gaps.values()), shared.settings.resamples, shared.settings.seed)
    p = dict(zip(gaps, tests, strict=True))
    adjusted = dict(zip(gaps, stats.holm_within(tests, [key for _, _, key in gaps]), strict=True))
    changes: dict[str, Any] = {}
    for place, (new, old) in paired.items():
        variant, start, key = place
        after, before = shared.draws(variant, key, new), shared.draws(start, key, old)
        low, high = shared.interval(after["mean"] - before["mean"])
        change = {
            "against": start,
            "difference": float(gaps[place].mean()),
            "low": low,
            "high": high,
            "p": p[place],
            "p_holm": adjusted[place],
            "smallest_detectable": stats.smallest_detectable(gaps[place]),
            "n": new.n,
        }
        if shared.study.columns[key].role == "safety":
            change |= _improvement(shared, old, new, before, after)
        changes.setdefault(variant, {})[key] = finite(change)
    return changes


def _improvement(shared: Resampled, old: stats.Rows, new: stats.Rows, before: Draws, after: Draws) -> dict[str, float]:
    """Equation 3.8 for the mean with its interval, and for the standard deviation."""
    low, high = shared.interval(stats.improvement(before["mean"], after["mean"]))
    value, spread = (
        float(stats.improvement(stats.statistic(old, name), stats.statistic(new, name))[0]) for name in ("mean", "std")
    )
    return {
        "mean_improvement": value,
        "mean_improvement_low": low,
        "mean_improvement_high": high,
        "std_improvement": spread,
    }
