"""Every number about quality that the report states: a study -> metrics.json and the slices."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench import stats
from bench.metrics import measured
from bench.report import claims, text_statistics
from bench.report.study import Study
from bench.report.supports import support_of, support_of_differences

Place = tuple[str, ...]  # what a number is about; the column's name comes last
SHARE: stats.Support = (0.0, 1.0)
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


def measure(study: Study) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compute the contents of metrics.json, and the slices {tag: {system: {column: value}}} that only the report shows."""
    collapsed = text_statistics.collapsed(study)
    complete: dict[Place, stats.Rows] = {
        (system, key): column for system, scores in study.systems.items() for key, column in scores.columns.items()
    }
    sliced: dict[Place, stats.Rows] = {
        (tag, system, key): stats.restrict(column, shared)
        for tag, members in _tags(study).items()
        for (system, key), column in complete.items()
        if key in _sliced(study) and len(shared := np.intersect1d(members, column.members))
    }
    values: dict[str, Any] = {system: {} for system in study.systems}
    spreads = _spreads(study, complete)
    for (system, key), entry in _entries(study, complete).items():
        signature = {"signature": study.systems[system].signatures[key]}
        values[system][key] = finite(entry | spreads[system, key]) | signature
    slices: dict[str, Any] = {}
    for (tag, system, key), entry in _entries(study, sliced).items():
        slices.setdefault(tag, {}).setdefault(system, {})[key] = finite(entry)
    metrics = {
        "study": study.params.study,
        "n_dialogues": len(study.dialogues),
        "collapsed": finite(collapsed),
        "variants": {variant: values[variant] for variant in study.params.variants},
        "yardsticks": {system: values[system] for system in values if system not in study.params.variants},
        "changes": _changes(study, collapsed),
    }
    if study.elsewhere:
        metrics["evaluate_on"] = _elsewhere(study)
    if study.params.report.slices:
        metrics["slices"] = _slice_changes(study, collapsed)
        metrics["dialogues_of"] = _members(study)  # for the gate and the diff, which read no data
    return metrics, slices


def _elsewhere(study: Study) -> dict[str, Any]:
    """Quality and toxicity of the greedy summaries on each other dataset, with their signatures.

    Of prompts that have no references, where no quality is to be had, what else the answers look like.
    """
    keys = [study.params.report.primary, *study.keys("quality", "safety")]
    shape = study.keys("shape", detail=False)
    bare = {
        name
        for name, held in study.elsewhere.items()
        if not any(s.columns.keys() & study.keys("quality") for s in held.values())
    }
    columns: dict[Place, stats.Rows] = {
        (dataset, variant, key): scores.columns[key]
        for dataset, systems in study.elsewhere.items()
        for variant, scores in systems.items()
        for key in dict.fromkeys([*keys, *(shape if dataset in bare else ())])
        if key in scores.columns
    }
    found: dict[str, Any] = {}
    for (dataset, variant, key), entry in _entries(study, columns).items():
        signature = {"signature": study.elsewhere[dataset][variant].signatures[key]}
        found.setdefault(dataset, {}).setdefault(variant, {})[key] = finite(entry) | signature
    return found


def _entries(study: Study, columns: Mapping[Place, stats.Rows]) -> dict[Place, dict[str, Any]]:
    """The mean of each column with its interval; the last part of a place is the column's name."""
    means = {place: stats.cluster_means(column) for place, column in columns.items()}
    bounds = _intervals(
        study, means, {place: support_of(study.columns[place[-1]], study.shown(place[-1])) for place in means}
    )
    return {
        place: {
            "value": stats.statistic(columns[place], "mean"),
            "low": bounds[place][0],
            "high": bounds[place][1],
            "se": stats.standard_error(means[place]),
            "n": columns[place].n,
        }
        for place in columns
    }


def _intervals(
    study: Study, means: Mapping[Place, stats.Floats], supports: Mapping[Place, stats.Support | None]
) -> dict[Place, tuple[float, float]]:
    """The interval of each mean over dialogues (n,); those over as many dialogues are computed together."""
    settings, found = study.params.report, dict[Place, tuple[float, float]]()
    for n in sorted({len(values) for values in means.values()}):
        places = [place for place, values in means.items() if len(values) == n]
        stacked = np.stack([means[place] for place in places], axis=1)
        ends = [supports[place] for place in places]
        bounds = stats.mean_intervals(stacked, ends, settings.confidence, settings.resamples, settings.seed)
        found |= {place: (float(bounds[0][k]), float(bounds[1][k])) for k, place in enumerate(places)}
    return found


def _spreads(study: Study, columns: Mapping[Place, stats.Rows]) -> dict[Place, dict[str, float]]:
    """The statistics of each column beside its mean. What no sample bounds (spread, maximum) has no interval."""
    wanted = {place: [s for s in study.columns[place[-1]].statistics if s != "mean"] for place in columns}
    above: dict[Place, stats.Floats] = {
        (name, *place): stats.cluster_means(columns[place], columns[place].values > stats.RATES[name])
        for place, names in wanted.items()
        for name in names
        if name in stats.RATES
    }
    bounds = _intervals(study, above, dict.fromkeys(above, SHARE))
    found: dict[Place, dict[str, float]] = {}
    for place, column in columns.items():
        found[place] = {name: stats.statistic(column, name) for name in wanted[place]}
        for name in wanted[place]:
            if name in stats.RATES:
                low, high = bounds[name, *place]
            elif name == "p95":
                low, high = _quantile_interval(study, column, name)
            else:
                continue
            found[place] |= {f"{name}_low": low, f"{name}_high": high}
    return found


def _quantile_interval(study: Study, column: stats.Rows, name: str) -> tuple[float, float]:
    """By order statistics; on a side that so few dialogues cannot bound, the end of what a share can be."""
    bounds = stats.quantile_interval(column, name, study.params.report.confidence)
    low, high = (end if math.isnan(bound) else bound for bound, end in zip(bounds, SHARE, strict=True))
    return low, high


def _sliced(study: Study) -> list[str]:
    return [study.params.report.primary, *study.keys("safety")]


LEVEL = re.compile(r"(\w+)\s*([<>])\s*(\d*\.?\d+)")


def _tags(study: Study) -> dict[str, stats.Ints]:
    """The dialogues of each tag, and of each declared level, where it splits the test split at all."""
    order = {dialogue: k for k, dialogue in enumerate(study.dialogues)}
    members: dict[str, set[int]] = {}
    for example in study.examples:
        for tag in example.tags:
            members.setdefault(tag, set()).add(order[example.dialogue_id])
    for name in study.params.report.slices:
        members |= {name: found} if (found := _beyond(study, name)) else {}
    return {tag: np.array(sorted(members[tag])) for tag in sorted(members) if 2 <= len(members[tag]) < len(order)}


def _beyond(study: Study, name: str) -> set[int]:
    """The dialogues of a slice such as `toxicity_judge_input>0.5`: a column about the dialogue itself, and a level."""
    asked = LEVEL.fullmatch(name)
    key, side, level = asked.groups() if asked else ("", ">", "0")
    held = next((scores.columns[key] for scores in study.systems.values() if key in scores.columns), None)
    if held is None or not study.columns[key].of_source:
        return set()
    means = zip(held.members.tolist(), stats.cluster_means(held).tolist(), strict=True)
    return {k for k, value in means if (value > float(level) if side == ">" else value < float(level))}


def _comparable(study: Study, collapsed: Container[str]) -> Iterator[tuple[str, str, str]]:
    """(variant, its start, column) wherever both have the column, measured alike; a collapsed variant's scores
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
            if key in old.columns and measured(new.signatures[key]) == measured(old.signatures[key]):
                yield variant, start, key


def _changes(study: Study, collapsed: Container[str]) -> dict[str, Any]:
    """Each variant against its start. Holm's family is the table that shows a change: see `claims.families`."""
    aligned, existing = study.aligned, {key: study.columns[key] for s in study.systems.values() for key in s.columns}
    results = {kind: claims.results(existing, study.params.report.primary, kind) for kind in (True, False)}
    paired: dict[Place, tuple[stats.Rows, stats.Rows]] = {
        (new, old, key): _pair(study, new, old, key) for new, old, key in _comparable(study, collapsed)
    }
    families = [claims.families(new in aligned, key in results[new in aligned]) for new, _, key in paired]
    changes: dict[str, Any] = {}
    for (new, _, key), change in _tested(study, paired, families).items():
        changes.setdefault(new, {})[key] = change
    return changes


def _members(study: Study) -> dict[str, list[str]]:
    """The dialogues of each declared slice."""
    known, names = _tags(study), study.dialogues
    return {tag: [names[k] for k in known[tag].tolist()] for tag in study.params.report.slices if tag in known}


def _slice_changes(study: Study, collapsed: Container[str]) -> dict[str, Any]:
    """What alignment changed of toxicity, of the primary column and of what is true on each declared slice; one family of tests."""
    known = _tags(study)
    tags = {tag: known[tag] for tag in study.params.report.slices if tag in known}
    keys = {study.params.report.primary, *study.keys("safety", sampled=None)}
    keys |= {key for key in study.keys("quality", detail=False) if study.columns[key].truth}
    paired: dict[Place, tuple[stats.Rows, stats.Rows]] = {}
    for tag, members in tags.items():
        for new, old, key in _comparable(study, collapsed):
            if new in study.aligned and key in keys:
                before, after = _pair(study, new, old, key)
                shared = np.intersect1d(members, before.members)
                if len(shared) > 1:
                    paired[tag, new, old, key] = stats.restrict(before, shared), stats.restrict(after, shared)
    changes: dict[str, Any] = {tag: {} for tag in tags}
    for place, change in _tested(study, paired, ["by slice"] * len(paired)).items():
        tag, new, _, key = place
        levels = {
            name: stats.statistic(rows, "mean") for name, rows in zip(("before", "after"), paired[place], strict=True)
        }
        changes[tag].setdefault(new, {})[key] = finite(levels) | change
    return changes


def _tested(
    study: Study, paired: Mapping[Place, tuple[stats.Rows, stats.Rows]], families: Sequence[str]
) -> dict[Place, dict[str, Any]]:
    """The change of each place (..., variant, its start, column), tested within its family."""
    settings = study.params.report
    gaps: dict[Place, stats.Floats] = {
        place: stats.cluster_means(new) - stats.cluster_means(old) for place, (old, new) in paired.items()
    }
    supports = {
        place: support_of_differences(study.columns[place[-1]], study.shown(place[-1]), values)
        for place, values in gaps.items()
    }
    bounds = _intervals(study, gaps, supports)
    tests = stats.sign_flips(list(gaps.values()), settings.resamples, settings.seed)
    adjusted = stats.holm_within(tests, families)
    least = [float(stats.smallest_p(values, settings.resamples)[0]) for values in gaps.values()]
    attainable = stats.attainable(tests, least, families)
    changes: dict[Place, dict[str, Any]] = {}
    for k, (place, values) in enumerate(gaps.items()):
        change = {
            "against": place[-2],
            "difference": float(values.mean()),
            "low": bounds[place][0],
            "high": bounds[place][1],
            "p": tests[k],
            "p_holm": adjusted[k],
            "p_least": attainable[k],
            "changed": int((values != 0).sum()),
            "smallest_detectable": stats.smallest_detectable(values),
            "n": len(values),
        }
        if study.columns[place[-1]].role == "safety":
            change |= _improvement(study, *paired[place])
        changes[place] = finite(change)
    return changes


def _pair(study: Study, new: str, old: str, key: str) -> tuple[stats.Rows, stats.Rows]:
    """The column of the start and of the variant, over the dialogues that both have."""
    columns = [study.systems[name].columns[key] for name in (old, new)]
    members = np.intersect1d(columns[0].members, columns[1].members)
    return stats.restrict(columns[0], members), stats.restrict(columns[1], members)


def _improvement(study: Study, old: stats.Rows, new: stats.Rows) -> dict[str, float]:
    """Equation 3.8 for the mean with its interval, and for the standard deviation."""
    settings = study.params.report
    before, after = stats.cluster_means(old), stats.cluster_means(new)
    value, low, high = stats.improvement_interval(before, after, settings.confidence, settings.resamples, settings.seed)
    return {
        "mean_improvement": value,
        "mean_improvement_low": low,
        "mean_improvement_high": high,
        "std_improvement": float(stats.improvement(stats.statistic(old, "std"), stats.statistic(new, "std"))[0]),
    }
