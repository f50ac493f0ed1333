"""Did it get worse? PASS, FAIL or INCONCLUSIVE for each metric and variant, with false alarms known ahead.

Rule `retrained`: models were trained again, so two honest runs differ by seed variance, which no paired test
sees. FAIL only when the one-sided upper bound of the gain lies below -fail_margin, PASS only when the lower bound lies
above -pass_margin (a non-inferiority test; Schuirmann 1987), else INCONCLUSIVE. The fail margin allows for the seeds of
training that is usual. Where a variant has `seeds`, its own is known, and both bounds are widened by it. What this rule does at which true drop
and number of dialogues: bench/compare/characteristics.py. Rule `same-predictions`: the same texts were scored again,
so every row must be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import numpy as np

from bench import stats
from bench.compare import costs, seed_variance
from bench.compare.gate.verdicts import Outcome, Verdict, decide, deciding_n
from bench.compare.pairs import Pair, bootstrap_means, pair
from bench.compare.snapshot import Snapshot
from bench.compare.sources import NotComparable
from bench.config.gate import GateConfig, Margin, Rule
from bench.core import paths
from bench.core.parameters import ReportConfig, validated
from bench.core.schema import Strict, UserError
from bench.report.view import ColumnFormat

Block = TypeVar("Block", bound=Strict)


def settings(kind: type[Block], name: str, params: dict[str, Any]) -> Block:
    """Type a block of params.

    Raises:
        UserError: a field is wrong.
    """
    block: Block = validated(kind, params.get(name) or {}, name, str(paths.PARAMS))
    return block


def compare(
    old: Snapshot, new: Snapshot, rule: Rule | None = None, strict: bool = False, only: Sequence[str] = ()
) -> Outcome:
    """Run the whole gate; margins and rule are the newer state's.

    Raises:
        NotComparable: anything that a verdict needs is missing or differs.
    """
    config, report = settings(GateConfig, "gate", new.params), settings(ReportConfig, "report", new.params)
    rule = rule or config.rule
    for name in only:
        if name not in old.entries:
            raise NotComparable(f"variant '{name}' is not in {old.name}; known there: {', '.join(old.entries)}.")
    variants = list(only) or list(old.entries)
    for name in variants:
        if name not in new.entries:
            raise NotComparable(
                f"variant '{name}' is in {old.name} and not in {new.name}; keep it, or name those to judge with --variant."
            )
    judged = same_predictions(old, new, variants) if rule == "same-predictions" else []
    if rule == "retrained":
        judged = retrained(old, new, config, report, variants)
    if not judged:
        raise NotComparable("no column of metrics.json is judged; name one in params.yaml, gate.metrics.")
    fresh = [name for name in new.entries if name not in old.entries]
    notes = [f"not judged, for {old.name} does not have it: {', '.join(fresh)}"] if fresh and not only else []
    judged += costs.judge(old, new, config, variants)
    return Outcome(new.study, old.name, new.name, rule, strict, judged, notes)


def retrained(
    old: Snapshot, new: Snapshot, config: GateConfig, report: ReportConfig, variants: Sequence[str]
) -> list[Verdict]:
    """Judge every column of the variants by the margin rule."""
    units, places = ColumnFormat(old.columns | new.columns), _places(old, new, config, report.primary, variants)
    pairs = [(pair(old, new, variant, column), margin) for variant, column, margin in places]
    sides = [_side(each.column, margin, units) for each, margin in pairs]
    verdicts: dict[int, Verdict] = {}
    for n in sorted({len(each.gaps) for each, _ in pairs}):
        some = [i for i, (each, _) in enumerate(pairs) if len(each.gaps) == n]
        if n < 2:
            raise NotComparable(
                f"{pairs[some[0]][0].column}: one dialogue says nothing about others; score at least two."
            )
        gains = np.stack([pairs[i][0].gaps * units.factor(pairs[i][0].column) * sides[i] for i in some], axis=1)
        found = bounds(gains, config.confidence, report.resamples, report.seed)
        for k, i in enumerate(some):
            each, margin = pairs[i]
            # Equal rows are the same model's, not another training's.
            seeds = seed_variance.measured(old, new, each.variant, each.column) if each.changed else None
            bound = (float(found[0][k]), float(found[1][k]))
            verdicts[i] = _verdict(each, margin, gains[:, k], bound, seeds, sides[i], units, config.confidence)
    return [verdicts[i] for i in range(len(pairs))]


def bounds(gains: stats.Floats, confidence: float, count: int, seed: int) -> tuple[stats.Floats, stats.Floats]:
    """Bound the mean gains (n, K) from below and above, one-sided (K,), by paired bootstrap over dialogues."""
    lower, upper = np.quantile(bootstrap_means(gains, count, seed), [1 - confidence, confidence], axis=0)
    return lower, upper


def same_predictions(old: Snapshot, new: Snapshot, variants: Sequence[str]) -> list[Verdict]:
    """Judge by exact equality of every row in every column of the variants.

    Raises:
        NotComparable: both reports hold summaries, and those differ.
    """
    verdicts, units = [], ColumnFormat(old.columns | new.columns)
    for variant in variants:
        olds, news = (state.texts.get(variant, {}) for state in (old, new))
        odd = next((key.id for key in sorted(set(olds) | set(news)) if olds.get(key) != news.get(key)), None)
        if odd is not None and olds and news:
            raise NotComparable(
                f"summary '{odd}' of '{variant}' differs, so these are not the same predictions; use --rule retrained."
            )
        for column in dict.fromkeys([*old.entries[variant], *new.entries[variant]]):
            each = pair(old, new, variant, column)
            verdicts.append(
                Verdict(
                    variant,
                    column,
                    "FAIL" if each.changed else "PASS",
                    f"{each.changed} of {each.rows} rows differ" if each.changed else "every row is equal",
                    units.number(column, each.before),
                    units.number(column, each.after),
                    units.difference(column, each.after - each.before),
                    {"rows": each.rows, "changed": each.changed, "before": each.before, "after": each.after},
                )
            )
    return verdicts


def _places(
    old: Snapshot, new: Snapshot, config: GateConfig, primary: str, variants: Sequence[str]
) -> list[tuple[str, str, Margin]]:
    """What is judged: (variant, column, margin) for each column that either state has and params name."""
    margins, used, found = config.judged(primary, old.columns | new.columns), set[str](), []
    for variant in variants:
        columns = list(dict.fromkeys([*old.entries[variant], *new.entries[variant]]))
        for column in columns:
            name = column if column in margins else next((name for name in margins if fnmatchcase(column, name)), None)
            if name is not None:
                used.add(name)
                found.append((variant, column, margins[name]))
        if primary not in [column for each, column, _ in found if each == variant]:
            lacks = primary not in columns
            raise NotComparable(
                f"the primary column '{primary}' of '{variant}' is in neither report; run `dvc repro`."
                if lacks
                else f"params.yaml: gate.metrics: the primary column '{primary}' is not among them; add it."
            )
    unused = [name for name in margins if name not in used]
    if config.metrics is not None and unused:
        raise NotComparable(
            f"params.yaml: gate.metrics.{unused[0]}: no variant has such a column; correct or remove it."
        )
    return found


def _side(column: str, margin: Margin, units: ColumnFormat) -> int:
    """1 where higher is better, -1 where lower is; params and the metric itself must agree."""
    declared = units.better(column)
    if margin.better and declared and margin.better != declared:
        raise UserError(
            f"params.yaml: gate.metrics: '{column}' is better {margin.better} here, and the metric says {declared}; correct it."
        )
    side = margin.better or declared
    if side is None:
        raise UserError(
            f"params.yaml: gate.metrics: '{column}' has no better side of its own; write better: higher or lower."
        )
    return 1 if side == "higher" else -1


def _verdict(
    each: Pair,
    margin: Margin,
    gains: stats.Floats,
    bound: tuple[float, float],
    seeds: seed_variance.SeedVariance | None,
    side: int,
    units: ColumnFormat,
    confidence: float,
) -> Verdict:
    """The verdict about one pair; `gains` and `bound`, their mean's lower and upper bound, in the printed unit."""
    factor, unit, sure = units.factor(each.column), units.unit(each.column), f"at {100 * confidence:g} %"
    half_width = seeds.half_width(confidence) * factor if seeds else 0.0
    _, lower, upper = stats.widen(stats.Estimate(float(gains.mean()), *bound), half_width)
    word = decide(lower, upper, margin.fail_margin, margin.pass_margin)
    needed = deciding_n(gains, margin.fail_margin, margin.pass_margin, confidence, half_width)
    least = stats.smallest_detectable(gains, seeds.error * factor if seeds else 0.0)
    if not each.changed:
        reason = "every row is equal"
    elif word == "FAIL":
        reason = f"worse by at least {-upper:.2f} {unit} {sure}, {margin.fail_margin:g} allowed"
    elif word == "PASS":
        reason = f"{'no worse' if lower > 0 else f'worse by at most {-lower:.2f} {unit}'} {sure}, {margin.pass_margin:g} allowed"
    elif needed is None:
        reason = f"more seeds would decide, more dialogues would not; smallest detectable {least:.2f} {unit}"
    else:
        reason = (
            f"about {needed:,} dialogues would decide, here are {len(gains):,}; smallest detectable {least:.2f} {unit}"
        )
    if seeds:
        spread = f"sd {seeds.sd * factor:.2f} {unit}" if seeds.sd else "within that of the dialogues"
        reason += f"; seed variance {spread} (from {seeds.before} and {seeds.after} trainings)"
    mean, *ends = (value + 0.0 for value in (side * float(gains.mean()), *sorted((side * lower, side * upper))))
    return Verdict(
        each.variant,
        each.column,
        word,
        reason,
        units.number(each.column, each.before),
        units.number(each.column, each.after),
        f"{mean:+.2f} [{ends[0]:+.2f}, {ends[1]:+.2f}]",
        {
            "before": each.before,
            "after": each.after,
            "gain": float(gains.mean()),
            "lower": lower,
            "upper": upper,
            "unit": unit,
            "n": len(gains),
            "fail_margin": margin.fail_margin,
            "pass_margin": margin.pass_margin,
            "smallest_detectable": least,
            "rows_changed": each.changed,
            "n_needed": needed if word == "INCONCLUSIVE" else None,
            **({"seed_sd": seeds.sd * factor, "trainings": [seeds.before, seeds.after]} if seeds else {}),
        },
    )
