"""Preference pairs: samples of the start model, ranked by the reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import generation
from bench.core import storage
from bench.core.blocks import GenerationConfig
from bench.core.schema import Example, Prediction, Strict, UserError
from bench.lm.models import Loaded
from bench.training.context import TrainContext
from bench.training.rewards import Reward
from bench.training.settings import PairsConfig


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


def sample(context: TrainContext, start: Loaded, reward: Reward, config: PairsConfig) -> list[Pair]:
    """Draw from the start, score and pair; done once, also when the training after it is interrupted.

    Raises:
        UserError: no two summaries of any dialogue differ enough in reward to be a pair.
    """
    path = context.work.folder / "pairs.jsonl"
    if path.exists():
        return storage.read_rows(path, Pair)
    examples = context.tagged("train", config.tag)
    chosen = np.random.default_rng(context.seed).permutation(len(examples))[: config.prompts]
    picked = [examples[i] for i in sorted(chosen.tolist())]
    each = config.samples
    settings = GenerationConfig(max_new_tokens=config.max_new_tokens, batch_size=config.batch_size, seed=context.seed)
    rows = generation.predict(start, picked, context.text, settings, each, context.work, context.progress)
    rewards = reward.raw([row.text for row in rows]).reshape(len(picked), each)
    pairs = [
        pair for i, example in enumerate(picked) for pair in _pair(example, rows[i * each :][:each], rewards[i], config)
    ]
    if not pairs:
        raise UserError(
            f"params.yaml: variants.{context.variant}.pairs.margin: none of {len(picked)} dialogues gave two summaries "
            f"whose rewards differ by more than {config.margin:g}; lower it, or draw more samples."
        )
    storage.write_rows(path, pairs)
    return pairs


def _pair(example: Example, rows: Sequence[Prediction], rewards: np.ndarray, config: PairsConfig) -> list[Pair]:
    """The pair of one dialogue, or none. Summaries cut by the length limit are left out: they have no proper end."""
    whole = [i for i, row in enumerate(rows) if not row.hit_limit]
    if len(whole) < 2:
        return []
    best, worst = max(whole, key=lambda i: rewards[i]), min(whole, key=lambda i: rewards[i])
    if rewards[best] - rewards[worst] <= config.margin:
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
