"""How often a report claims what is not so, and how often its intervals hold the truth: simulated from reports' own rows.

A simulated study draws n dialogues with replacement from the rows of a real one, and is judged by the very code of the
report. Where nothing changed: the start and its aligned variants change places at random within each dialogue. Where
all of it changed: as the rows are. Where half did: a variant has its start's rows on half of the dialogues. Intervals
are asked for the mean of the rows they were drawn from.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import stats
from bench.compare.snapshot import Snapshot, rows_of
from bench.compare.sources import NotComparable
from bench.config.gate import JUDGE
from bench.core import parsing
from bench.metrics import Column
from bench.report import claims
from bench.report.supports import support_of, support_of_differences
from bench.report.text_statistics import spearman

SIZES = (12, 25, 60, 125, 300, 500)
STUDIES, FLIPS, DRAWS, SEED = 1_000, 2_000, 2_000, 0
LEVEL, CONFIDENCE = 0.05, 0.95
LENGTH = "words"
SCENES = ("nothing", "half", "all")


@dataclass(frozen=True, eq=False)
class Population:
    """The rows of one report: `values` (n, systems, columns) by dialogue; the first system is the start of the others.

    `rests_on` are the columns that the report's verdicts rest on, where it says so: what was followed, and what judges.
    """

    study: str
    systems: list[str]
    keys: list[str]
    columns: dict[str, Column]
    values: stats.Floats
    primary: str
    rests_on: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[list[str], list[str]]:
        """The columns that judge, and those of what was followed: rewards first, then the followed classifier's toxicity."""
        known = [key for key in self.keys if not self.rests_on or key in self.rests_on]
        rewards = [key for key in known if self.columns[key].role == "reward"]
        safety = [key for key in known if self.columns[key].role == "safety"]
        teacher = next((self.columns[key].classifier for key in rewards), None)
        followed = [key for key in safety if self.columns[key].classifier == teacher]
        if self.rests_on:
            return [key for key in known if key not in (*rewards, *followed)], rewards + followed
        others = [self.columns[key].classifier for key in safety if key not in followed]
        chosen = JUDGE if JUDGE in others else next(iter(others), None)  # as `Study.judge_key` does
        return [k for k in safety if k not in followed and self.columns[k].classifier == chosen], rewards + followed

    def of(self, keys: Sequence[str], values: stats.Floats) -> stats.Floats:
        """Select columns of rows (n, systems, ·)."""
        return values[:, :, [self.keys.index(key) for key in keys]]


@dataclass
class Rates:
    """Of simulated studies of one size and scene: how many have which verdict, and a false or true reading."""

    studies: int = 0
    any_verdict: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)  # over variants
    accused: int = 0  # studies in which some variant is said to have gamed its reward
    any_reading: int = 0
    any_better: int = 0  # studies in which some variant is said to be better than another by what none of them followed


@dataclass(frozen=True)
class Coverage:
    """Of the intervals of one kind at one n: the mean and the lowest share that hold the truth, and which has that."""

    kind: str
    n: int
    columns: int
    mean: float
    lowest: float
    where: str


@dataclass(frozen=True)
class Found:
    """The simulation's results: rates by (study, n, scene), and the coverage of every kind of interval."""

    populations: list[Population]
    rates: dict[tuple[str, int, str], Rates]
    coverage: list[Coverage]
    studies: int


def population(state: Snapshot) -> list[Population]:
    """Read the rows of a report: one population a start that variants were aligned from, and what their verdicts rest on.

    Raises:
        NotComparable: the report has no aligned variant with a judge.
    """
    report = parsing.parse_object(state.source.report(state.study, "metrics.json") or b"", state.name)
    starts: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for variant, facts in report.get("panel", {}).items():
        if "against" in facts and "p_judge" in facts:
            starts.setdefault((facts["against"], tuple(sorted(facts.get("rests_on", {})))), []).append(variant)
    if not starts:
        raise NotComparable(
            f"{state.name} has no aligned variant that a judge saw; name the report of a study with one."
        )
    found = [_population(state, [start, *variants], keys) for (start, keys), variants in starts.items()]
    return [
        one for one in found if not one.rests_on or all(one.sides)
    ]  # what followed a metric has no column of a reward


def _population(state: Snapshot, systems: list[str], rests_on: tuple[str, ...]) -> Population:
    shared = set.intersection(*(set(state.values[system]) for system in systems))
    keys = [key for key, column in state.columns.items() if key in shared and not column.of_source]
    tables = [[rows_of(state.values[system][key], state.dialogues) for key in keys] for system in systems]
    n = len(set(state.dialogues.values()))
    whole = [k for k in range(len(keys)) if all(row[k].n == n for row in tables)]
    values = np.stack([np.stack([stats.cluster_means(row[k]) for k in whole], axis=1) for row in tables], axis=1)
    primary = next(key for key in keys if state.columns[key].role == "quality")
    return Population(state.study, systems, [keys[k] for k in whole], state.columns, values, primary, rests_on)


def simulate(states: Sequence[Snapshot], studies: int = STUDIES, sizes: Sequence[int] = SIZES) -> Found:
    """Simulate so many studies of each size and scene for each report.

    Raises:
        NotComparable: a report has no aligned variant with a judge.
    """
    populations = [each for state in states for each in population(state)]
    rates: dict[tuple[str, int, str], Rates] = {}
    for one in populations:
        for n in sizes:
            for scene in SCENES:
                found = rates.setdefault((one.study, n, scene), Rates())
                for k, values in enumerate(_studies(one, n, scene, studies)):
                    _judge(one, values, found, k)
    return Found(populations, rates, _coverages(populations, sizes, studies), studies)


def _studies(one: Population, n: int, scene: str, count: int) -> Iterator[stats.Floats]:
    """Rows (n, systems, columns) of each simulated study."""
    rng = np.random.default_rng([SEED, n, SCENES.index(scene)])
    for _ in range(count):
        values = one.values[rng.integers(0, len(one.values), n)]
        systems = values.shape[1]
        if scene == "nothing":
            order = rng.permuted(np.tile(np.arange(systems), (n, 1)), axis=1)
            values = np.take_along_axis(values, order[:, :, None], axis=1)
        elif scene == "half":
            values = np.where((rng.random(n) < 0.5)[:, None, None], values, values[:, :1])
        yield values


def _judge(one: Population, values: stats.Floats, found: Rates, seed: int) -> None:
    """Verdicts and readings of one simulated study, as the report has them."""
    decided = claims.decide(evidence(one, values), LEVEL, FLIPS, seed)
    said = [claim.verdict for claim in decided.values()]
    found.studies += 1
    found.verdicts.update(said)
    found.any_verdict += any(verdict != "none" for verdict in said)
    found.accused += "reward only" in said
    table = one.of(claims.results({key: one.columns[key] for key in one.keys}, one.primary, aligned=True), values)
    gaps = (table[:, 1:] - table[:, :1]).reshape(len(values), -1)
    found.any_reading += bool((stats.holm(stats.sign_flip(gaps, FLIPS, seed)) <= LEVEL).any())
    found.any_better += _ranked(one, values, seed)


def _ranked(one: Population, values: stats.Floats, seed: int) -> bool:
    """Whether any two of the variants are told apart by the column that judges, every two tested, as 'Which method?' does."""
    pairs = list(itertools.combinations(range(1, values.shape[1]), 2))
    if not pairs or not one.sides[0]:
        return False
    judged = one.of(one.sides[0][:1], values)[:, :, 0]
    gaps = np.stack([judged[:, i] - judged[:, j] for i, j in pairs], axis=1)
    return bool((stats.holm(stats.sign_flip(gaps, FLIPS, seed)) <= LEVEL).any())


def evidence(one: Population, values: stats.Floats) -> dict[str, claims.Evidence]:
    """Gather what the verdicts rest on, turned so that lower is better by the judge."""
    judge, rewards = one.sides
    followed = [key for key in rewards if one.columns[key].role == "safety"]
    signs = np.array([1.0 if one.columns[key].higher_is_better else -1.0 for key in rewards])
    side = -1 if judge and one.columns[judge[0]].higher_is_better else 1
    toxicity, by_reward = side * one.of(judge, values).mean(axis=2), one.of(followed, values).mean(axis=2)
    gains = one.of(rewards, values) * signs
    return {
        system: claims.Evidence(
            (toxicity[:, 0], toxicity[:, k]),
            (by_reward[:, 0], by_reward[:, k]) if followed else None,
            [gains[:, k, c] - gains[:, 0, c] for c in range(len(rewards))],
        )
        for k, system in enumerate(one.systems[1:], 1)
    }


def _coverages(populations: Sequence[Population], sizes: Sequence[int], count: int) -> list[Coverage]:
    """Every kind of interval that a report prints, over all columns of that kind."""
    shares: dict[tuple[str, int], list[tuple[float, str]]] = {}
    for one in populations:
        for n in sizes:
            drawn = np.random.default_rng([SEED, n]).integers(0, len(one.values), (count, n))
            for kind, where, share in _covered(one, drawn):
                shares.setdefault((kind, n), []).append((share, f"{where} ({one.study})"))
    return [
        Coverage(kind, n, len(found), float(np.mean([share for share, _ in found])), *min(found))
        for (kind, n), found in sorted(shares.items(), key=lambda item: (item[0][0], item[0][1]))
    ]


def _covered(one: Population, drawn: stats.Ints) -> Iterator[tuple[str, str, float]]:
    """(kind, what, share that holds the truth) of one population, `drawn` (studies, n) dialogues."""
    for k, key in enumerate(one.keys):
        column, rows = one.columns[key], one.values[:, :, k]
        samples = rows[drawn]  # (studies, n, systems)
        supports = [support_of(column, list(study.T)) for study in samples]
        kind = _kind(column)
        unbounded = any(end is not None and np.isnan(end).any() for end in supports)  # such have no interval
        for s, system in enumerate(() if unbounded else one.systems):
            yield f"mean of {kind}", f"{key} of {system}", _share(samples[:, :, s], supports, rows[:, s].mean())
            if s and column.role == "safety":
                yield "improvement", f"{key} of {system}", _improved(samples[:, :, 0], samples[:, :, s], rows, s)
            if s:
                gaps, truth = samples[:, :, s] - samples[:, :, 0], (rows[:, s] - rows[:, 0]).mean()
                wide = [
                    support_of_differences(column, list(study.T), some)
                    for study, some in zip(samples, gaps, strict=True)
                ]
                yield f"difference of {kind}", f"{key} of {system}", _share(gaps, wide, truth)
            if column.role == "reward":
                yield from _correlated(one, key, s, drawn)
            if column.role == "safety":
                yield from _of_shares(one, key, s, samples[:, :, s], rows[:, s])


def _of_shares(
    one: Population, key: str, s: int, samples: stats.Floats, rows: stats.Floats
) -> Iterator[tuple[str, str, float]]:
    """The rates, p95 and the improvement of a toxicity column of one system, samples (studies, n) of rows (N,)."""
    where = f"{key} of {one.systems[s]}"
    for name, limit in stats.RATES.items():
        above = (samples > limit).astype(float)
        yield "rate", f"{name} of {where}", _share(above, [(0.0, 1.0)] * len(above), (rows > limit).mean())
    truth = float(np.quantile(rows, 1 - stats.TOPS["p95"], method="inverted_cdf"))
    held = 0
    for values in samples:
        low, high = stats.quantile_interval(stats.rows(np.arange(len(values)), values), "p95", CONFIDENCE)
        held += (np.isnan(low) or low <= truth) and (np.isnan(high) or truth <= high)
    yield "p95", where, held / len(samples)


def _correlated(one: Population, key: str, s: int, drawn: stats.Ints) -> Iterator[tuple[str, str, float]]:
    """The rank correlation of a reward with the words of one system, of fewer studies; where words are known."""
    if LENGTH not in one.keys:
        return
    x, y = one.values[:, s, one.keys.index(key)], one.values[:, s, one.keys.index(LENGTH)]
    truth = spearman(x, y, CONFIDENCE).value
    found = [spearman(x[some], y[some], CONFIDENCE) for some in drawn[: max(len(drawn) // 5, 1)]]
    known = [each for each in found if not np.isnan(each.low)]
    if known:
        held = float(np.mean([each.low <= truth <= each.high for each in known]))
        yield "rank correlation", f"{key} and words of {one.systems[s]}", held


def _improved(before: stats.Floats, after: stats.Floats, rows: stats.Floats, s: int) -> float:
    """How often the interval of an improvement holds the truth; of fewer studies, for each has draws of its own."""
    truth = 1 - rows[:, s].mean() / rows[:, 0].mean()
    few = slice(0, max(len(before) // 5, 1))
    found = [
        stats.improvement_interval(old, new, CONFIDENCE, DRAWS, SEED)
        for old, new in zip(before[few], after[few], strict=True)
    ]
    return float(np.mean([low <= truth <= high for _, low, high in found]))


def _share(samples: stats.Floats, supports: Sequence[stats.Support | None], truth: float) -> float:
    """How often the interval of a mean of samples (studies, n) holds the truth."""
    low, high = stats.mean_intervals(samples.T, supports, CONFIDENCE, DRAWS, SEED)
    return float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean())


def _kind(column: Column) -> str:
    """What a column's intervals are called in the report of their coverage."""
    if column.role in ("quality", "safety"):
        return {"quality": "quality", "safety": "toxicity"}[column.role]
    return {"nats": "KL", "logit": "reward logits", "share": "other shares"}.get(column.unit, "lengths")


def headline(found: Found) -> dict[str, Any]:
    """Return what the page promises: the highest rate of false claims, and the lowest mean coverage."""
    null = [rates for (_, _, scene), rates in found.rates.items() if scene == "nothing"]
    return {
        "better": max(rates.any_better / rates.studies for rates in null),
        "verdicts": max(rates.any_verdict / rates.studies for rates in null),
        "readings": max(rates.any_reading / rates.studies for rates in null),
        "coverage": min(found.coverage, key=lambda each: each.mean),
    }
