"""The reward of PPO and the ranking of DPO: a classifier's logit for a label taken by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.classifiers import loading
from bench.classifiers.loading import Classifier
from bench.training.context import TrainContext
from bench.training.settings import RewardConfig


class Reward:
    """Scores summaries alone: with the dialogue in front the classifier would mostly judge the dialogue."""

    def __init__(self, classifier: Classifier, config: RewardConfig) -> None:
        self.classifier, self.config, self.column = classifier, config, classifier.column(config.label)

    @classmethod
    def of(cls, context: TrainContext, config: RewardConfig) -> Reward:
        """Load the reward by the classifier that the variant's `learns_from` names."""
        return cls(loading.load(Path(context.learns_from).name, context.device), config)

    def raw(self, texts: Sequence[str]) -> np.ndarray:
        """Compute the label's logit for each text, shape (n,)."""
        return self.classifier.logits(texts)[:, self.column]

    def shaped(self, raw: np.ndarray) -> np.ndarray:
        """Compute the shaped reward: scale * min(logit, cap), shape (n,)."""
        return self.config.scale * (raw if self.config.cap is None else np.minimum(raw, self.config.cap))
