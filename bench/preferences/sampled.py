"""Samples of a model, ranked by a classifier, a reward model, a metric or the miniature's truth.

Made once and shared by every method that learns from pairs; what it ranks is what a policy really writes.
"""

from __future__ import annotations

from pydantic import Field

from bench.core.blocks import PreferencesConfig
from bench.rankings import Ranking
from bench.training.context import TrainContext
from bench.training.settings import RewardConfig, SamplesConfig

LEARNS_FROM = "reward"


class Config(PreferencesConfig):
    """`samples` of the model `init`, ranked by `reward`; what the length limit cut is left out."""

    samples: SamplesConfig = SamplesConfig(samples=4)
    reward: RewardConfig = RewardConfig()
    decimals: int = Field(6, ge=0)


def rankings(config: Config, context: TrainContext) -> list[Ranking]:
    """Draw, score, rank. Scores are rounded: equal texts tie, whatever batch they were scored in."""
    from bench.training import preferences
    from bench.training.rewards import Reward

    reward = Reward.of(context.learns_from, config.reward, context.device)
    found = []
    for drawn in preferences.draw(context, context.start(), reward, config.samples):
        kept = preferences.whole(drawn)
        if len(kept) > 1:
            found.append(
                Ranking(
                    id=drawn.example.id,
                    dialogue_id=drawn.example.dialogue_id,
                    source=drawn.example.source,
                    summaries=tuple(drawn.samples[i].text for i in kept),
                    scores=tuple(round(float(drawn.rewards[i]), config.decimals) for i in kept),
                    references=drawn.example.references,
                    token_ids=tuple(drawn.samples[i].token_ids for i in kept),
                )
            )
    return found
