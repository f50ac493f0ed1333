"""Preference pairs: samples of the start model, ranked by the reward."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import generation
from bench.core import paths, storage
from bench.core.blocks import GenerationConfig
from bench.core.schema import Example, Prediction, Strict, UserError
from bench.lm import prompts
from bench.lm.models import Loaded
from bench.rankings import Ranking
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.settings import PairsConfig, SamplesConfig


class Pair(Strict):
    """Two summaries of one dialogue. Tokens are those the model drew, rewards are the classifier's logits."""

    id: str
    source: str
    chosen: str
    rejected: str
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]
    chosen_reward: float
    rejected_reward: float


class Drawn(NamedTuple):
    """A dialogue with k samples of a model and their rewards, (k,)."""

    example: Example
    samples: Sequence[Prediction]
    rewards: np.ndarray


def written(context: TrainContext, start: Loaded, config: SamplesConfig) -> list[tuple[Example, Sequence[Prediction]]]:
    """Draw samples from the start; each batch is drawn once, also when what comes after it is interrupted."""
    examples = context.tagged("train", config.tag)
    chosen = np.random.default_rng(context.seed).permutation(len(examples))[: config.prompts]
    picked = [examples[i] for i in sorted(chosen.tolist())]
    each = config.samples
    settings = GenerationConfig(max_new_tokens=config.max_new_tokens, batch_size=config.batch_size, seed=context.seed)
    rows = generation.predict(start, picked, context.text, settings, each, context.work, context.progress)
    return [(example, rows[i * each :][:each]) for i, example in enumerate(picked)]


def draw(context: TrainContext, start: Loaded, reward: Reward, config: SamplesConfig) -> list[Drawn]:
    """Draw samples from the start and score them."""
    found = written(context, start, config)
    raw = reward.raw(
        [example for example, samples in found for _ in samples], [row.text for _, samples in found for row in samples]
    )
    rewards = reward.ranked(raw).reshape(len(found), -1)
    return [Drawn(*one, own) for one, own in zip(found, rewards, strict=True)]


def sample(context: TrainContext, start: Loaded, reward: Reward, config: PairsConfig) -> list[Pair]:
    """Draw from the start, score and pair; done once, also when the training after it is interrupted.

    Raises:
        UserError: no two summaries of any dialogue differ enough in reward to be a pair.
    """
    path = context.work.folder / "pairs.jsonl"
    if path.exists():
        return storage.read_rows(path, Pair)
    drawn = draw(context, start, reward, config)
    pairs = [pair for one in drawn for pair in _pair(one, config.margin)]
    if not pairs:
        raise UserError(
            f"params.yaml: {context.where}.pairs.margin: none of {len(drawn)} dialogues gave two summaries "
            f"whose rewards differ by more than {config.margin:g}; lower it, or draw more samples."
        )
    storage.write_rows(path, pairs)
    return pairs


def from_rankings(context: TrainContext, start: Loaded, margin: float) -> tuple[list[Pair], int]:
    """Read the training rankings of a block of `preferences`: of each the best and the worst, if more than `margin` apart.

    A summary without tokens of its own is encoded as a reference would be. Returns the pairs, and how many samples of a model
    were ranked for them.

    Raises:
        UserError: no ranking gives a pair.
    """
    path = paths.preferences_path(Path(context.learns_from).name, "train")
    rankings, pairs = storage.read_rows(path, Ranking), list[Pair]()
    for ranking in rankings:
        scores = ranking.scores
        best, worst = scores.index(max(scores)), scores.index(min(scores))
        if scores[best] - scores[worst] <= margin:
            continue
        chosen, rejected = (
            ranking.token_ids[i]
            if ranking.token_ids
            else tuple(prompts.encode_target(start.tokenizer, ranking.summaries[i], context.text))
            for i in (best, worst)
        )
        pairs.append(
            Pair(
                id=ranking.id,
                source=ranking.source,
                chosen=ranking.summaries[best],
                rejected=ranking.summaries[worst],
                chosen_ids=chosen,
                rejected_ids=rejected,
                chosen_reward=scores[best],
                rejected_reward=scores[worst],
            )
        )
    if not pairs:
        raise UserError(
            f"params.yaml: {context.where}.pairs.margin: none of {len(rankings)} rankings of {path} has two summaries whose "
            f"scores differ by more than {margin:g}; lower it."
        )
    return pairs, sum(len(ranking.token_ids) for ranking in rankings)


def whole(drawn: Drawn) -> list[int]:
    """Return which samples have a proper end: those that the length limit cut teach nothing."""
    return [i for i, row in enumerate(drawn.samples) if not row.hit_limit]


def _pair(drawn: Drawn, margin: float) -> list[Pair]:
    """The pair of one dialogue, or none."""
    ended, (example, rows, rewards) = whole(drawn), drawn
    if len(ended) < 2:
        return []
    best, worst = max(ended, key=lambda i: rewards[i]), min(ended, key=lambda i: rewards[i])
    if rewards[best] - rewards[worst] <= margin:
        return []
    return [
        Pair(
            id=example.id,
            source=example.source,
            chosen=rows[best].text,
            rejected=rows[worst].text,
            chosen_ids=rows[best].token_ids,
            rejected_ids=rows[worst].token_ids,
            chosen_reward=float(rewards[best]),
            rejected_reward=float(rewards[worst]),
        )
    ]
