"""A study as it lies on disk, and what can be asked of it: what followed what, and which column judges it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from bench import methods, stats
from bench.core.parameters import Params
from bench.core.schema import Example, Lengths, Prediction, ScoreRow
from bench.metrics import Column, Role

Value = TypeVar("Value")
Curve = list[dict[str, float]]


@dataclass(frozen=True)
class SystemScores:
    """The scores of one system (a variant or a reference system): raw rows, one `stats.Rows` a column, signatures.

    `by_seed` has a column's rows of each training apart, where the variant has `seeds`.
    """

    raw: list[ScoreRow]
    columns: dict[str, stats.Rows]
    signatures: dict[str, str]
    by_seed: dict[str, dict[int, stats.Rows]] = field(default_factory=dict)

    def greedy(self, key: str, seed: int | None = None) -> dict[str, float]:
        """Return the value of a column by example id, samples left out, of one training; of several draws the first."""
        rows = [row for row in self.raw if row.output != "sample" and key in row.values and row.seed == seed]
        return _first_by_id((row.id, row.values[key]) for row in rows)

    def crossed(self, key: str) -> stats.Floats:
        """Return the means (n, S) of the dialogues that every training has, by training."""
        apart = list(self.by_seed[key].values())
        shared = reduce(np.intersect1d, [column.members for column in apart])
        return np.stack([stats.cluster_means(stats.restrict(column, shared)) for column in apart], axis=1)


@dataclass(frozen=True)
class Study:
    """A study as it lies on disk. `systems` holds the reference systems that exist first, then the variants.

    `progress` has what the samples of a policy on its way scored, a row a step, and `samples` how many it learnt from;
    `preferences` how many rankings there are, `training_sets` how many examples came from where, `reward_models` how often
    each is right.
    """

    params: Params
    examples: list[Example]
    columns: dict[str, Column]
    metric_of: dict[str, str]
    systems: dict[str, SystemScores]
    predictions: dict[str, list[Prediction]]
    curves: dict[str, Curve]
    costs: dict[str, dict[str, Any]]
    warnings: list[str]
    elsewhere: dict[str, dict[str, SystemScores]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    progress: dict[str, Curve] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    preferences: dict[str, dict[str, Any]] = field(default_factory=dict)
    reward_models: dict[str, dict[str, Any]] = field(default_factory=dict)
    training_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    lengths: dict[str, dict[str, Lengths]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def dialogues(self) -> list[str]:
        """The dialogues in the order of the test split; their positions are the clusters of every statistic."""
        return list(dict.fromkeys(example.dialogue_id for example in self.examples))

    def keys(self, *roles: Role, sampled: bool | None = False, detail: bool = True) -> list[str]:
        """List the columns of these roles, about what was written, that some system has.

        `sampled` picks those of greedy summaries, of samples or (None) of both; `detail` keeps finer cuts of others.
        """
        return [
            key
            for key, column in self.columns.items()
            if column.role in roles
            and not column.of_source
            and (sampled is None or column.sampled == sampled)
            and (detail or not column.detail)
            and any(key in system.columns for system in self.systems.values())
        ]

    def shown(self, key: str) -> list[stats.Floats]:
        """Return the values of a column by every system that has it: what bounds it, see `supports`."""
        return [system.columns[key].values for system in self.systems.values() if key in system.columns]

    @property
    def teachers(self) -> set[str]:
        """The classifiers that some variant was trained against."""
        return {name for variant in self.aligned for name in self._classifiers_of(variant)}

    @property
    def judge_key(self) -> str | None:
        """The greedy safety column of the judge: the checkpoint of that name, else one that no training followed."""
        known = sorted(
            (key for key in self.keys("safety") if self.columns[key].classifier is not None),
            key=lambda key: (self.columns[key].classifier != "judge", self.columns[key].classifier in self.teachers),
        )
        return known[0] if known else None

    def judge_of(self, variant: str) -> str | None:
        """Find the greedy column that the verdict on an aligned variant rests on, which its training did not follow.

        The judge's toxicity for those that followed a classifier of it; for the others what is true, where the study knows
        that, else an unseen reward model, else the primary measure.
        """
        if self.detoxified(variant):
            return self.judge_key
        followed = self.rewards_of(variant)
        about = [key for key in self.keys("quality") if key not in followed]
        truths = [key for key in about if self.columns[key].truth]
        unseen = [key for key in about if self.columns[key].classifier is not None]
        primary = [self.params.report.primary] if self.params.report.primary in about else []
        return next(iter([*truths, *unseen, *primary]), None)

    def detoxified(self, variant: str) -> bool:
        """Tell whether an aligned variant followed a classifier of what is not wanted, and not one whose label is a result."""
        teacher = self.params.classifier_of(variant)
        if teacher not in self.params.checkpoints:
            return False
        wanted = [key for key in self.keys("reward") if self.columns[key].classifier == teacher]
        return self.followed_key(variant) is not None or not wanted

    def rewards_of(self, variant: str) -> list[str]:
        """List the greedy columns of what an aligned variant followed: of its classifiers or reward models, and its metrics.

        What ranked the preferences that it learnt from counts, and what reward models learnt of the same rankings.
        """
        reward = getattr(self.params.teacher_of(variant), "reward", None)
        metrics = () if reward is None else (reward.metric, *reward.also)
        preferences = self.params.variants[variant].learns_from
        learnt = [name for name, model in self.params.rewards.items() if model.learns_from == preferences]
        classifiers = [*self._classifiers_of(variant), *learnt]
        found = [key for key in self.keys("quality") if key.removesuffix("_right") in metrics]
        found += [key for name in classifiers for key in self.keys("reward") if self.columns[key].classifier == name]
        return found + [key for name in classifiers if (key := self._safety_key(name)) is not None]

    def followed_key(self, variant: str) -> str | None:
        """Return the greedy safety column of the classifier that `variant` was trained against."""
        return self._safety_key(self.params.classifier_of(variant))

    def _classifiers_of(self, variant: str) -> list[str]:
        """The classifiers that a variant followed, those included that are a further part of its reward."""
        main, reward = self.params.classifier_of(variant), getattr(self.params.teacher_of(variant), "reward", None)
        also = [part.partition(".")[0] for part in (reward.also if reward is not None else ()) if "." in part]
        return list(dict.fromkeys([*([main] if main is not None else []), *also]))

    def _safety_key(self, classifier: str | None) -> str | None:
        """The greedy safety column of a classifier."""
        return next((key for key in self.keys("safety") if self.columns[key].classifier == classifier), None)

    def start(self, variant: str) -> str | None:
        """Return the variant that `variant` started from; for a checkpoint, its untrained variant if there is one.

        What trains nothing and is the study's own prompt and decoding as well has no start.
        """
        blocks = self.params.variants
        block = blocks[variant]
        as_it_is = {name for name, other in blocks.items() if other.text is None and other.decoding is None}
        learns = methods.find(block.method).LEARNS_FROM
        if learns == "outputs" or (learns == "nothing" and variant in as_it_is):
            return None
        if block.init in blocks:
            return block.init
        untrained = [name for name, other in blocks.items() if other.method == "none" and other.init == block.init]
        return next((name for name in untrained if name in as_it_is), None)

    def greedy(self, variant: str, key: str) -> dict[str, float]:
        """Return the value of a column by example id, for the summaries that `summaries` shows."""
        return self.systems[variant].greedy(key, self.params.trainings_of(variant)[0].mark)

    def summaries(self, variant: str) -> dict[str, str]:
        """Return the greedy summary of each example; the first training's, where a variant has several."""
        mark = self.params.trainings_of(variant)[0].mark
        rows = [row for row in self.predictions[variant] if row.output == "greedy" and row.seed == mark]
        return _first_by_id((row.id, row.text) for row in rows)

    @property
    def aligned(self) -> list[str]:
        """The variants that followed a reward, or preferences."""
        blocks = self.params.variants.items()
        return [variant for variant, block in blocks if methods.find(block.method).LEARNS_FROM in ("reward", "pairs")]


def _first_by_id(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """The first value of each id, in their order."""
    found: dict[str, Value] = {}
    for identity, value in pairs:
        found.setdefault(identity, value)
    return found
