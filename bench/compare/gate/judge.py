"""Did it get worse? PASS, FAIL or INCONCLUSIVE for each metric and variant, with false alarms known ahead.

Rule `retrained`: models were trained again, so two honest runs differ by seed variance, which no paired test sees. FAIL
only when the one-sided upper bound of the gain lies below -fail_margin, PASS only when the lower bound lies above
-pass_margin (a non-inferiority test; Schuirmann 1987), else INCONCLUSIVE. Bounds hold the choice of dialogues and, of a
variant that was trained again, seed variance: as `seeds` measure it, else as `gate.training_sd` states it. Where neither
does, such a variant cannot FAIL: two trainings differ, and nobody knows by how much two honest ones do. The chance of a
FAIL is shared by all cells of a study (Bonferroni); a PASS is each cell's own, for a study passes only when all do.
How often this is wrong: bench/compare/simulation. Rule `same-predictions`: the same texts were scored again, so every row
must be equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from bench import stats
from bench.compare import costs, seed_variance
from bench.compare.gate.verdicts import Outcome, Verdict, decide, deciding_n, failed
from bench.compare.pairs import Pair, on_slice, pair, rewritten
from bench.compare.snapshot import Snapshot
from bench.compare.sources import NotComparable
from bench.config.gate import GateConfig, Margin, Rule
from bench.core import paths
from bench.core.parameters import ReportConfig
from bench.core.schema import Strict, UserError
from bench.core.validation import validated
from bench.report.supports import FEWEST
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
    notes += rewritten(old, new, variants, report.primary) + costs.speeds(old, new, variants)
    judged += costs.judge(old, new, config, variants)
    judged = [replace(each, reason=new.told(each.reason)) for each in judged]
    return Outcome(new.study, old.name, new.name, rule, strict, judged, notes)


def retrained(
    old: Snapshot, new: Snapshot, config: GateConfig, report: ReportConfig, variants: Sequence[str]
) -> list[Verdict]:
    """Judge every column of the variants by the margin rule."""
    units, places = ColumnFormat(old.columns | new.columns), _places(old, new, config, report.primary, variants)
    states = {name: on_slice(old, new, name) if name else (old, new) for name in {name for *_, name, _ in places}}
    pairs = [
        (replace(pair(*states[part], variant, column), slice=part), margin) for variant, column, part, margin in places
    ]
    chance = (1 - config.confidence) / max(sum(bool(each.changed) for each, _ in pairs), 1)
    verdicts = []
    for each, margin in pairs:
        if len(each.gaps) < 2:
            raise NotComparable(
                f"{each.measure}: " + new.told("one dialogue says nothing about others; score at least two.")
            )
        side, factor = _side(each.column, margin, units), units.factor(each.column)
        support = None if each.support is None else (each.support[0] * factor, each.support[1] * factor)
        gains = each.gaps * factor * side
        # Equal rows are the same model's, not another training's.
        again = bool(each.changed) and seed_variance.was_trained_again(old, new, each.variant)
        stated = config.training_sd_of(each.measure)
        seeds = seed_variance.known(*states[each.slice], each.variant, each.column, stated, factor) if again else None
        confidences = config.confidence, 1 - chance
        reach = [seeds.half_width(level) * factor if seeds else 0.0 for level in confidences]
        bound = bounds(gains, support, confidences, reach, report) if each.changed else (0.0, 0.0)
        verdicts.append(_verdict(each, margin, gains, bound, seeds, again, side, units, config.confidence))
    return verdicts


def bounds(
    gains: stats.Floats,
    support: stats.Support | None,
    confidences: tuple[float, float],
    reach: Sequence[float],
    report: ReportConfig,
) -> tuple[float, float]:
    """Bound the mean gain of (n,) dialogues from below and above, each one-sided at its confidence.

    `reach` is how far seed variance moves it on each side, in quadrature with the dialogues' part.
    """
    mean, ends = float(gains.mean()), []
    for side, (confidence, further) in enumerate(zip(confidences, reach, strict=True)):
        two_sided = 2 * confidence - 1
        found = stats.mean_intervals(gains[:, None], [support], two_sided, report.resamples, report.seed)
        estimate = stats.Estimate(mean, float(found[0][0]), float(found[1][0]))
        ends.append(stats.widen(estimate, further)[1 + side])
    return ends[0], ends[1]


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
) -> list[tuple[str, str, str, Margin]]:
    """What is judged: (variant, column, slice, margin) for each column that either state has and params name.

    A name is a column or a pattern, with `@` and a slice where it is about some dialogues alone.
    """
    margins, used, found = config.judged(primary, old.columns | new.columns), set[str](), []
    by_slice: dict[str, dict[str, str]] = {}
    for name in margins:
        column, _, part = name.partition("@")
        by_slice.setdefault(part, {})[column] = name
    for variant in variants:
        columns = list(dict.fromkeys([*old.entries[variant], *new.entries[variant]]))
        for part, patterns in by_slice.items():
            for column in columns:
                fits = (pattern for pattern in patterns if fnmatchcase(column, pattern))
                pattern = column if column in patterns else next(fits, None)
                if pattern is not None:
                    used.add(patterns[pattern])
                    found.append((variant, column, part, margins[patterns[pattern]]))
        if primary not in [column for each, column, part, _ in found if each == variant and not part]:
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
    again: bool,
    side: int,
    units: ColumnFormat,
    confidence: float,
) -> Verdict:
    """The verdict about one pair; `gains` and `bound`, their mean's lower and upper bound, in the printed unit."""
    factor, unit = units.factor(each.column), units.unit(each.column)
    lower, upper = bound
    blind = again and seeds is None  # nobody knows how much two honest trainings differ
    word = decide(lower, upper, margin.fail_margin, margin.pass_margin)
    word = "INCONCLUSIVE" if word == "FAIL" and blind else word
    half_width = seeds.half_width(confidence) * factor if seeds else 0.0
    needed = deciding_n(gains, margin.fail_margin, margin.pass_margin, confidence, half_width)
    needed = None if failed(upper, margin.fail_margin) else needed
    least = stats.smallest_detectable(gains, seeds.error * factor if seeds else 0.0)
    reason = _reason(each, word, bound, margin, unit, confidence, blind, needed, least, len(gains))
    if seeds:
        reason += f"; {_said_of(seeds, factor, unit)}"
    mean, *ends = (value + 0.0 for value in (side * float(gains.mean()), *sorted((side * lower, side * upper))))
    interval = "" if math.isnan(lower) else f" [{ends[0]:+.2f}, {ends[1]:+.2f}]"
    return Verdict(
        each.variant,
        each.measure,
        word,
        reason,
        units.number(each.column, each.before),
        units.number(each.column, each.after),
        f"{mean:+.2f}{interval}",
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
            "trained_again": again,
            "n_needed": needed if word == "INCONCLUSIVE" else None,
            **({"seed_sd": seeds.sd * factor, "trainings": [seeds.before, seeds.after]} if seeds else {}),
        },
    )


def _reason(
    each: Pair,
    word: str,
    bound: tuple[float, float],
    margin: Margin,
    unit: str,
    confidence: float,
    blind: bool,
    needed: int | None,
    least: float,
    n: int,
) -> str:
    """Why, in half a sentence: what is certain, or what would decide."""
    lower, upper = bound
    sure = f"at {100 * confidence:g} %"
    between = "between these two trainings " if blind else ""
    if not each.changed:
        return "every row is equal"
    if word == "FAIL":
        return f"worse by at least {-upper:.2f} {unit} {sure} of the whole study, {margin.fail_margin:g} allowed"
    if word == "PASS":
        held = "no worse" if lower > 0 else f"worse by at most {-lower:.2f} {unit}"
        return f"{between}{held} {sure}, {margin.pass_margin:g} allowed"
    if math.isnan(lower):
        return f"{n} dialogues do not show how far this column spreads; score at least {FEWEST}"
    if blind and upper < -margin.fail_margin:
        return (
            f"between these two trainings worse by at least {-upper:.2f} {unit}; whether the recipe is, `seeds` of this "
            "variant on both sides would decide, or gate.training_sd (`bench gate-study --runs`)"
        )
    if needed is None:
        return f"more seeds would decide, more dialogues would not; smallest detectable {least:.2f} {unit}"
    return f"{between}about {needed:,} dialogues would decide, here are {n:,}; smallest detectable {least:.2f} {unit}"


def _said_of(seeds: seed_variance.SeedVariance, factor: float, unit: str) -> str:
    """Where the seed variance in a verdict comes from."""
    spread = f"sd {seeds.sd * factor:.2f} {unit}" if seeds.sd else "within that of the dialogues"
    source = f"{seeds.before} and {seeds.after} trainings"
    return f"seed variance {spread} (df {seeds.df:g}; {source})"
