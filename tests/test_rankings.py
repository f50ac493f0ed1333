"""Pairs, Elo and Bradley-Terry against published numbers, closed forms and loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bench import rankings
from bench.core.schema import UserError
from bench.rankings import Ranking


def ranking(dialogue: str, scores: list[float], **more: object) -> Ranking:
    return Ranking(
        id=f"{dialogue}-{len(scores)}-{sum(scores)}",
        dialogue_id=dialogue,
        source="a dialogue",
        summaries=tuple(f"summary {k}" for k in range(len(scores))),
        scores=tuple(scores),
        **more,  # type: ignore[arg-type]
    )


def test_k_summaries_give_every_pair_that_is_no_tie() -> None:
    scores = [3.0, 1.0, 2.0, 1.0]
    pairs = rankings.preferences([ranking("d", scores)])
    expected = {
        (f"summary {i}", f"summary {j}") for i, j in itertools.permutations(range(4), 2) if scores[i] > scores[j]
    }
    assert {(p.chosen, p.rejected) for p in pairs} == expected and len(pairs) == 4 * 3 // 2 - 1
    assert sum(p.weight for p in pairs) == pytest.approx(1)
    assert len(rankings.preferences([ranking("d", scores)], margin=1.0)) == 2, "three against the ones"


def test_a_dialogue_with_many_summaries_counts_no_more_than_one_with_two() -> None:
    pairs = rankings.preferences(
        [ranking("many", [4.0, 3.0, 2.0, 1.0]), ranking("many", [1.0, 0.0]), ranking("two", [1.0, 0.0])]
    )
    weights = {name: sum(p.weight for p in pairs if p.dialogue_id == name) for name in ("many", "two")}
    assert weights == pytest.approx({"many": 1, "two": 1})


def test_a_pair_is_called_after_what_was_done_to_the_worse_one_alone() -> None:
    chain = ranking("d", [0.0, -1.0, -2.0], labels=("reference", "omission", "repeated"))
    found = {(p.chosen[-1], p.rejected[-1]): p.category for p in rankings.preferences([chain])}
    assert found == {("0", "1"): "omission", ("1", "2"): "repeated", ("0", "2"): rankings.SEVERAL}
    judged = ranking("d", [0.0, -1.0, -2.0], labels=("A", "B", "C"), category="fluency")
    assert {p.category for p in rankings.preferences([judged])} == {"fluency"}


def test_all_of_a_dialogue_lie_on_one_side_of_every_split() -> None:
    some = [ranking(f"d{k % 40}", [1.0, float(k) / 100]) for k in range(120)]
    parts = rankings.split(some, 0.1, 0.2, seed=3)
    held = {name: {one.dialogue_id for one in rows} for name, rows in parts.items()}
    assert {name: len(ids) for name, ids in held.items()} == {"train": 28, "validation": 4, "test": 8}
    assert len(set.union(*held.values())) == 40 and sum(map(len, parts.values())) == 120
    assert parts == rankings.split(some, 0.1, 0.2, seed=3) != rankings.split(some, 0.1, 0.2, seed=4)


def test_a_part_without_pairs_is_said() -> None:
    parts = {"train": [ranking("a", [1.0, 0.0])], "validation": [ranking("b", [1.0, 1.0])], "test": []}
    with pytest.raises(UserError, match=r"preferences\.p: none of the 2 rankings gives a pair of the validation part"):
        rankings.counted(parts, "params.yaml: preferences.p")


def test_elo_moves_by_k_times_the_surprise() -> None:
    assert rankings.elo([("a", "b", 1.0)]) == {"a": 1016.0, "b": 984.0}
    games = [("a", "b", 1.0), ("b", "c", 0.5), ("c", "a", 0.0), ("a", "b", 0.0)]
    ratings = {"a": 1000.0, "b": 1000.0, "c": 1000.0}
    for one, other, score in games:  # the sum of expectations is 1, so what one wins the other loses
        chance = 1 / (1 + math.pow(10, (ratings[other] - ratings[one]) / 400))
        ratings[one], ratings[other] = ratings[one] + 32 * (score - chance), ratings[other] - 32 * (score - chance)
    assert rankings.elo(games) == pytest.approx(ratings)
    expected = 1 / (1 + 10 ** (-400 / 400))  # 400 points are odds of ten to one
    assert expected == pytest.approx(10 / 11)


# Agresti 2002, Categorical Data Analysis, table 10.10 and page 438: the 1987 season of the American League's East.
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)
PUBLISHED = {
    "Milwaukee": 1.58,
    "Detroit": 1.44,
    "Toronto": 1.29,
    "New York": 1.25,
    "Boston": 1.11,
    "Cleveland": 0.68,
    "Baltimore": 0.0,
}


def season() -> list[tuple[str, str, float]]:
    return [
        (one, other, 1.0) for i, one in enumerate(TEAMS) for j, other in enumerate(TEAMS) for _ in range(WINS[i][j])
    ]


def test_bradley_terry_gives_the_published_ratings() -> None:
    found = rankings.bradley_terry(season())
    last = found["Baltimore"].value
    assert {name: found[name].value - last for name in TEAMS} == pytest.approx(PUBLISHED, abs=0.006)
    assert sum(rating.value for rating in found.values()) == pytest.approx(0, abs=1e-9)


def test_its_intervals_are_those_of_the_curvature() -> None:
    """The Hessian of the log-likelihood by finite differences, its inverse on what sums to 0."""
    found = rankings.bradley_terry(season())
    at = np.array([found[name].value for name in TEAMS])
    wins = np.array(WINS, float)

    def likelihood(x: np.ndarray) -> float:
        return float((wins * -np.log1p(np.exp(x[None, :] - x[:, None]))).sum())

    h, n = 1e-3, len(TEAMS)
    hessian = np.empty((n, n))
    for i, j in itertools.product(range(n), repeat=2):
        a, b = np.eye(n)[i] * h, np.eye(n)[j] * h
        hessian[i, j] = (
            likelihood(at + a + b) - likelihood(at + a - b) - likelihood(at - a + b) + likelihood(at - a - b)
        ) / (4 * h * h)
    spread = np.sqrt(np.diag(np.linalg.pinv(-hessian, rcond=1e-4)))
    for k, name in enumerate(TEAMS):
        assert (found[name].high - found[name].low) / 2 == pytest.approx(1.959964 * spread[k], rel=1e-3)


def test_two_players_have_a_closed_form() -> None:
    found = rankings.bradley_terry([("a", "b", 1.0)] * 6 + [("b", "a", 1.0)] * 2)
    assert found["a"].value - found["b"].value == pytest.approx(math.log(3))
    drawn = rankings.bradley_terry([("a", "b", 0.5), ("a", "b", 0.5)])
    assert drawn["a"].value == pytest.approx(0)


def test_who_never_lost_has_no_finite_rating() -> None:
    with pytest.raises(ValueError, match="'b' never beat 'a', nor anybody who did"):
        rankings.bradley_terry([("a", "b", 1.0), ("a", "b", 1.0)])


def test_standardised_values_have_mean_0_and_deviation_1() -> None:
    found = rankings.standardised({"a": 1.0, "b": 3.0})
    assert found == {"a": -1.0, "b": 1.0}
    with pytest.raises(ValueError, match="all values are the same"):
        rankings.standardised({"a": 1.0, "b": 1.0})


def test_scores_and_labels_are_as_many_as_the_summaries() -> None:
    with pytest.raises(ValueError, match="'labels' has 1 entries for 2 summaries"):
        ranking("d", [1.0, 0.0], labels=("x",))
