"""Rankings of summaries -> pairs, Elo and Bradley-Terry ratings, a standardised scale. Arithmetic alone: no model, no file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from bench.core.schema import Identity, Row, Text, UserError

SEVERAL = "several"  # the category of a pair between which other summaries of the chain stand


class Ranking(Row):
    """Two or more summaries of one dialogue with a score each, the higher the better; equal scores are a tie.

    `labels` say what each is: the system that wrote it, or how it was damaged. `category` is what was judged (a dimension),
    `rater` who did. `references` are what people wrote of the dialogue, where they are not among the ranked. `token_ids` are
    those that a model drew, end included.
    """

    id: Identity
    dialogue_id: Identity
    source: Text
    summaries: tuple[str, ...] = Field(min_length=2)
    scores: tuple[float, ...] = Field(min_length=2)
    labels: Annotated[tuple[str, ...], Field(exclude_if=lambda labels: not labels)] = ()
    category: Annotated[str, Field(exclude_if=lambda category: not category)] = ""
    rater: Annotated[str, Field(exclude_if=lambda rater: not rater)] = ""
    references: Annotated[tuple[str, ...], Field(exclude_if=lambda references: not references)] = ()
    token_ids: Annotated[tuple[tuple[int, ...], ...], Field(exclude_if=lambda ids: not ids)] = ()

    @model_validator(mode="after")
    def _as_long(self) -> Ranking:
        for name in ("scores", "labels", "token_ids"):
            held = getattr(self, name)
            if held and len(held) != len(self.summaries):
                raise ValueError(f"'{name}' has {len(held)} entries for {len(self.summaries)} summaries; give one each")
        return self


class Preference(Row):
    """Of two summaries of a dialogue the better one. `weight` is such that all pairs of one dialogue count as one."""

    id: Identity
    dialogue_id: Identity
    source: Text
    chosen: str
    rejected: str
    category: str
    weight: float
    better_by: float
    chosen_ids: tuple[int, ...] = ()
    rejected_ids: tuple[int, ...] = ()


def preferences(rankings: Sequence[Ranking], margin: float = 0.0) -> list[Preference]:
    """List every pair of scores more than `margin` apart, up to k (k - 1) / 2 of a ranking of k (Ouyang et al. 2022, section 3.5).

    The category of a pair is its ranking's, else the label of the worse one, if no other summary of the ranking lies between.
    """
    found: list[Preference] = []
    for ranking in rankings:
        order = sorted(range(len(ranking.scores)), key=lambda i: -ranking.scores[i])
        levels = sorted(set(ranking.scores), reverse=True)
        for place, better in enumerate(order):
            for worse in order[place + 1 :]:
                gap = ranking.scores[better] - ranking.scores[worse]
                if gap <= margin:
                    continue
                category = ranking.category or (ranking.labels[worse] if ranking.labels else "")
                steps = levels.index(ranking.scores[worse]) - levels.index(ranking.scores[better])
                if not ranking.category and ranking.labels and steps > 1:
                    category = SEVERAL
                found.append(
                    Preference(
                        id=ranking.id,
                        dialogue_id=ranking.dialogue_id,
                        source=ranking.source,
                        chosen=ranking.summaries[better],
                        rejected=ranking.summaries[worse],
                        category=category,
                        weight=1.0,
                        better_by=gap,
                        chosen_ids=ranking.token_ids[better] if ranking.token_ids else (),
                        rejected_ids=ranking.token_ids[worse] if ranking.token_ids else (),
                    )
                )
    counts: dict[str, int] = {}
    for pair in found:
        counts[pair.dialogue_id] = counts.get(pair.dialogue_id, 0) + 1
    return [pair.model_copy(update={"weight": 1 / counts[pair.dialogue_id]}) for pair in found]


def split(rankings: Sequence[Ranking], validation: float, test: float, seed: int) -> dict[str, list[Ranking]]:
    """Deal the rankings to train, validation and test by these shares; all of a dialogue go to one of them."""
    dialogues = sorted({ranking.dialogue_id for ranking in rankings})
    order = np.random.default_rng(seed).permutation(len(dialogues))
    held = {"validation": round(validation * len(dialogues)), "test": round(test * len(dialogues))}
    of: dict[str, str] = {}
    for rank, index in enumerate(order.tolist()):
        name = "test" if rank < held["test"] else "validation" if rank < sum(held.values()) else "train"
        of[dialogues[index]] = name
    return {
        name: [ranking for ranking in rankings if of[ranking.dialogue_id] == name]
        for name in ("train", "validation", "test")
    }


def counted(parts: Mapping[str, Sequence[Ranking]], where: str) -> dict[str, dict[str, int]]:
    """Count dialogues, rankings and pairs of each part; it has some: a model has to learn from them, and to be held against others.

    Raises:
        UserError: one has none; `where` names the block.
    """
    found = {}
    for part, rankings in parts.items():
        pairs = len(preferences(rankings))
        dialogues = len({ranking.dialogue_id for ranking in rankings})
        found[part] = {"dialogues": dialogues, "rankings": len(rankings), "pairs": pairs}
        if not pairs:
            total = sum(map(len, parts.values()))
            raise UserError(
                f"{where}: none of the {total} rankings gives a pair of the {part} part, two summaries that differ in score; "
                "give more dialogues, or summaries that are judged differently."
            )
    return found


def elo(
    games: Sequence[tuple[str, str, float]], k: float = 32.0, start: float = 1000.0, scale: float = 400.0
) -> dict[str, float]:
    """Rate players by games (one, other, score of one: 1, 1/2 or 0) in their order (Elo 1978): a win moves up to `k` points."""
    ratings: dict[str, float] = {}
    for one, other, score in games:
        ratings.setdefault(one, start)
        ratings.setdefault(other, start)
        expected = 1 / (1 + 10 ** ((ratings[other] - ratings[one]) / scale))
        ratings[one] += k * (score - expected)
        ratings[other] -= k * (score - expected)
    return ratings


@dataclass(frozen=True)
class Rating:
    """A log-strength, the mean over the players being 0, with its interval."""

    value: float
    low: float
    high: float


def bradley_terry(
    games: Sequence[tuple[str, str, float]], confidence: float = 0.95, tolerance: float = 1e-12
) -> dict[str, Rating]:
    """Fit P(one beats other) = sigmoid(rating of one - rating of other) by maximum likelihood (Bradley and Terry 1952).

    `games` are (one, other, score of one: 1, 1/2 or 0). Fitted by the MM algorithm (Hunter 2004, equation 3); intervals are
    Wald's, from the inverse of the observed information with the ratings' sum held at 0.

    Raises:
        ValueError: some players never beat some others, directly or by a chain of wins: then no finite rating fits.
    """
    names = sorted({name for one, other, _ in games for name in (one, other)})
    place = {name: i for i, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for one, other, score in games:
        wins[place[one], place[other]] += score
        wins[place[other], place[one]] += 1 - score
    reached = np.linalg.matrix_power((wins > 0).astype(float) + np.eye(len(names)), max(len(names) - 1, 1)) > 0
    if not reached.all():
        one, other = (names[i] for i in np.argwhere(~reached)[0])
        raise ValueError(
            f"'{one}' never beat '{other}', nor anybody who did, so no finite rating fits; add comparisons"
        )
    met = wins + wins.T
    strength = np.ones(len(names))
    while True:
        new = wins.sum(1) / (met / (strength[:, None] + strength[None, :])).sum(1)
        new /= math.exp(np.log(new).mean())
        done = np.abs(np.log(new / strength)).max() < tolerance
        strength = new
        if done:
            break
    chance = strength[:, None] / (strength[:, None] + strength[None, :])
    weights = met * chance * (1 - chance)
    information = np.diag(weights.sum(1)) - weights
    spread = np.sqrt(np.diag(np.linalg.pinv(information)))
    margin = NormalDist().inv_cdf(0.5 + confidence / 2) * spread
    value = np.log(strength)
    return {name: Rating(float(v), float(v - m), float(v + m)) for name, v, m in zip(names, value, margin, strict=True)}


def standardised(ratings: Mapping[str, float]) -> dict[str, float]:
    """Scale values to mean 0 and (population) standard deviation 1.

    Raises:
        ValueError: they are all the same.
    """
    values = np.array(list(ratings.values()))
    deviation = values.std()
    if deviation == 0:
        raise ValueError("all values are the same, so they say nothing of what is better")
    return dict(zip(ratings, ((values - values.mean()) / deviation).tolist(), strict=True))
