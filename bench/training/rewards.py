"""What a summary earns: a classifier's logit for a label taken by its name, a metric, or a weighted sum of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from bench.classifiers import loading
from bench.classifiers.loading import Classifier
from bench.core import plugins
from bench.core.schema import Example
from bench.training.settings import METRIC_OF, RewardConfig

USUAL = "nothate"  # the label of the thesis's RoBERTa, where a block names none

Measure = Callable[[Sequence[Example], Sequence[str]], Sequence[float] | np.ndarray]


class Reward:
    """Scores summaries (n) of dialogues: column 0 of `raw` is the reward itself, the others are what `also` adds.

    A classifier sees the summary alone, unless it was made for both: with the dialogue in front it would mostly judge that.
    """

    def __init__(self, main: Measure, config: RewardConfig, also: Sequence[Measure] = ()) -> None:
        self.measures, self.config = (main, *also), config
        self.names = ("reward", *config.also)
        self.weights = np.array([config.scale, *config.also.values()])

    @classmethod
    def of(cls, learns_from: str, config: RewardConfig, device: str, precision: str = "float32") -> Reward:
        """Load the reward by what a variant's `learns_from` names, and the further parts by their own names.

        Raises:
            UserError: a classifier has no such label.
        """

        def classified(name: str, label: str | None) -> Measure:
            return by_label(loading.load(name, device, precision), label)

        main = metric(config.metric) if config.metric else classified(Path(learns_from).name, config.label)
        also = [metric(part) if part in METRIC_OF else classified(*part.split(".")) for part in config.also]
        return cls(main, config, also)

    def raw(self, examples: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
        """Compute every part for each summary, (n, parts); logits, where a classifier gives them."""
        return np.stack([np.asarray(measure(examples, texts)) for measure in self.measures], axis=1)

    def shaped(self, raw: np.ndarray) -> np.ndarray:
        """Compute what is learnt from, (n,): scale * min(reward, cap) + the further parts times their weights."""
        capped = raw.copy()
        if self.config.cap is not None:
            capped[:, 0] = np.minimum(raw[:, 0], self.config.cap)
        return capped @ self.weights

    def ranked(self, raw: np.ndarray) -> np.ndarray:
        """Compute what samples are ranked by, (n,): the same without the cap, in units of the reward."""
        return raw @ (self.weights / self.config.scale)


def by_label(classifier: Classifier, label: str | None) -> Measure:
    """Take a classifier's logit for a label; of a reward model, whose logit is one, it need not be named."""
    column = classifier.column(label or (classifier.labels[0] if len(classifier.labels) == 1 else USUAL))
    return lambda examples, texts: classifier.summary_logits([e.source for e in examples], texts)[:, column]


def metric(name: str) -> Measure:
    """Take a measure of the text from the metric that offers it as a reward."""
    return cast(Measure, plugins.find("metric", METRIC_OF[name]).REWARDS[name])
