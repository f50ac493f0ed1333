"""What reward models that were trained here say of a summary: the logit that a policy followed, and that of models it never saw."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from bench.core.schema import ScoreRow, Strict
from bench.metrics import SAMPLED, Column, ScoreContext

EXAMPLES: tuple[
    dict[str, Any], ...
] = ()  # needs a reward model: tests/metrics/test_reward_model.py holds it against its stage

Names = Annotated[tuple[str, ...], Field(strict=False)]
REFERENCES = False


class Config(Strict):
    """`followed` are those that variants learn from; `judges` no training sees, so that gaming shows."""

    followed: Names = ()
    judges: Names = ()

    @model_validator(mode="after")
    def _some(self) -> Config:
        names = (*self.followed, *self.judges)
        if not names or len(set(names)) < len(names):
            raise ValueError("name the reward models, each once, under 'followed' or 'judges'")
        return self


def columns(config: Config) -> dict[str, Column]:
    """List a column a model, of greedy summaries and of samples."""
    found = {}
    for name in (*config.followed, *config.judges):
        judge = name in config.judges
        for suffix, what in (("", ""), (SAMPLED, ", sampled")):
            found[f"reward_{name}{suffix}"] = Column(
                title=f"Reward model {name}{' (unseen)' if judge else ''}{what}",
                unit="logit",
                higher_is_better=True,
                role="shape" if suffix and judge else "quality" if judge else "reward",
                classifier=name,
                sampled=bool(suffix),
            )
    return found


def rewards(config: Config) -> dict[str, str]:
    """Name the reward models: field -> name."""
    return {f"{field}.{i}": name for field in ("followed", "judges") for i, name in enumerate(getattr(config, field))}


def signature(config: Config, context: ScoreContext) -> dict[str, str]:
    """State each model with its weights."""
    return {
        f"reward_{name}{suffix}": f"reward_{name}{suffix}|bench-reward-1|{context.classifier(name).identity}"
        for name in (*config.followed, *config.judges)
        for suffix in ("", SAMPLED)
    }


def score(config: Config, context: ScoreContext) -> list[ScoreRow]:
    """Give a row for every summary, samples too."""
    predictions = list(context.predictions)
    sources = [context.example(p.id).source for p in predictions]
    texts = [p.text for p in predictions]
    found = {
        name: context.classifier(name).summary_logits(sources, texts)[:, 0]
        for name in (*config.followed, *config.judges)
    }
    return [
        ScoreRow.of(
            p,
            "reward_model",
            {f"reward_{name}": float(values[i]) for name, values in found.items()},
        )
        for i, p in enumerate(predictions)
    ]
