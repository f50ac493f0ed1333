"""The chance that classifiers among the checkpoints give a wanted label: of those a policy followed, and of judges it never saw."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from bench.classifiers import loading
from bench.core.schema import Identity, ScoreRow, Strict
from bench.metrics import SAMPLED, Column, ScoreContext

EXAMPLES: tuple[
    dict[str, Any], ...
] = ()  # needs a classifier: tests/metrics/test_classifier_metric.py holds it against VADER
REFERENCES = False


class Config(Strict):
    """Each maps a checkpoint to its label: `followed` those that variants learn from, `judges` those that no training sees."""

    followed: dict[Identity, str] = Field(default_factory=dict)
    judges: dict[Identity, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _some(self) -> Config:
        if not self.all or set(self.followed) & set(self.judges):
            raise ValueError("name classifiers with the label of each, each once, under 'followed' or 'judges'")
        return self

    @property
    def all(self) -> dict[str, str]:
        """Checkpoint -> label."""
        return self.followed | self.judges


def columns(config: Config) -> dict[str, Column]:
    """List a column a classifier, of greedy texts and of samples."""
    return {
        f"{name}_{label}{suffix}": Column(
            title=f"{label} ({name}{', unseen' if name in config.judges else ''}){what}",
            unit="share",
            higher_is_better=True,
            role="reward" if name in config.followed else "shape" if suffix else "quality",
            classifier=name,
            sampled=bool(suffix),
        )
        for name, label in config.all.items()
        for suffix, what in (("", ""), (SAMPLED, ", sampled"))
    }


def labels(config: Config) -> dict[str, tuple[str, str]]:
    """List the labels that must exist: field -> (checkpoint, label)."""
    return {
        f"{field}.{name}": (name, label)
        for field in ("followed", "judges")
        for name, label in getattr(config, field).items()
    }


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State which classifier with which weights, and which label."""
    return {
        f"{name}_{label}{suffix}": f"{name}_{label}{suffix}|bench-classifier-1|{context.classifier(name).identity}|P({label})"
        for name, label in config.all.items()
        for suffix in ("", SAMPLED)
    }


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every text, samples too."""
    texts, found = [p.text for p in context.predictions], dict[str, list[float]]()
    for name, label in config.all.items():
        classifier = context.classifier(name)
        found[f"{name}_{label}"] = loading.softmax(classifier.logits(texts))[:, classifier.column(label)].tolist()
    return [
        ScoreRow.of(p, "classifier", {key: values[i] for key, values in found.items()})
        for i, p in enumerate(context.predictions)
    ]
