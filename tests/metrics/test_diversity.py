"""distinct-n and self-BLEU of a dialogue's own summaries, counted by hand."""

from __future__ import annotations

import pytest

from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction
from bench.metrics import ScoreContext, diversity

pytest.importorskip("sacrebleu")


def context(samples: list[str], greedy: list[str]) -> ScoreContext:
    example = Example(id="a", dialogue_id="d", source="x", references=("y",))
    made = [
        Prediction(id="a", dialogue_id="d", output=output, draw=k, text=text)  # type: ignore[arg-type]
        for output, texts in (("sample", samples), ("greedy", greedy))
        for k, text in enumerate(texts)
    ]
    return ScoreContext("v", None, [example], made, TextConfig(), GenerationConfig(), "cpu")


def test_distinct_counts_over_the_draws_of_a_dialogue() -> None:
    assert diversity.distinct(["the cat sat", "The cat ran"], 1) == pytest.approx(4 / 6)
    assert diversity.distinct(["the cat sat", "The cat ran"], 2) == pytest.approx(3 / 4)
    assert diversity.distinct(["a a a"], 1) == pytest.approx(1 / 3)
    assert diversity.distinct(["", "one"], 2) == 0


def test_self_bleu_is_that_of_each_draw_against_the_others() -> None:
    assert diversity.self_bleu(["They meet at noon today."] * 3) == pytest.approx(1)
    # 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, and of one quadruple none: half of it, smoothed; both ways alike.
    assert diversity.self_bleu(["a b c d", "a b c e"]) == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)


def test_what_stands_alone_has_no_diversity() -> None:
    rows = diversity.score(diversity.Config(), context(["one", "two"], ["one"]))
    assert [(row.output, row.id, row.dialogue_id) for row in rows] == [("sample", "a", "d")]
    assert rows[0].values["distinct_1"] == 1 and set(rows[0].values) == {"distinct_1", "distinct_2", "self_bleu"}
    assert diversity.score(diversity.Config(), context(["one"], ["one"])) == []
    both = diversity.score(diversity.Config(self_bleu=False), context(["one", "two"], ["one", "one"]))
    assert [(row.output, row.values["distinct_1"]) for row in both] == [("sample", 1.0), ("greedy", 0.5)]


def test_the_signature_says_how_many_share_a_dialogue() -> None:
    found = diversity.signature(diversity.Config(), context(["one", "two", "three"], ["one"]))
    assert found["distinct_1_sampled"].endswith("|draws:3") and found["distinct_1"].endswith("|draws:0")
