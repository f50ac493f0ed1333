"""Writing and scoring go on in smaller parts where memory runs out, with the same result; a lower precision is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertForSequenceClassification, T5ForConditionalGeneration

from bench import generation
from bench.classifiers import loading
from bench.core.blocks import ComputeConfig, GenerationConfig, TextConfig
from bench.core.schema import Example, UserError
from bench.lm import memory, models
from bench.metrics import ScoreContext, kl

TEXT = TextConfig(max_source_tokens=24, max_target_tokens=6)
SETTINGS = GenerationConfig(max_new_tokens=6, batch_size=5, samples=2)
EXAMPLES = [Example(id=c, dialogue_id=c, source=f"hello {c} {c}", references=("a b",)) for c in "abcdefg"]


def square(items: Sequence[int]) -> list[int]:
    if len(items) > 3:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return [item**2 for item in items]


@pytest.mark.parametrize(("count", "sizes"), [(0, 0), (3, 0), (4, 2), (7, 3), (100, 3)])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(count: int, sizes: int) -> None:
    parts = memory.Parts("squares")
    assert parts.run(range(count), square) == [k**2 for k in range(count)]
    assert parts.rows == sizes  # and the next batch begins with what fitted


def test_an_item_that_does_not_fit_alone_ends_it_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def never(items: Sequence[int]) -> list[int]:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(UserError, match="squares: out of memory with one at a time; shorten text.max_source_tokens"):
        memory.Parts("squares").run(range(5), never)
    assert capsys.readouterr().out.splitlines() == [
        f"squares: out of memory; going on with {rows} at a time" for rows in (2, 1)
    ]


def test_another_error_is_no_matter_of_memory() -> None:
    def wrong(items: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        memory.Parts("squares").run(range(5), wrong)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine whose memory holds three rows of either kind of model; lists the batches that it refused."""
    refused: list[int] = []

    def limited(real: Any) -> Any:
        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = [value for value in kwargs.values() if isinstance(value, torch.Tensor)]
            rows = max(len(value) for value in given)
            if rows > 3:
                refused.append(rows)
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(self, *args, **kwargs)

        return forward

    for kind in (T5ForConditionalGeneration, BertForSequenceClassification):
        monkeypatch.setattr(kind, "forward", limited(kind.forward))
    return refused


@pytest.fixture
def other(tiny_base: Path) -> str:
    """A model that is not the base."""
    loaded = models.load("base", "cpu")
    torch.manual_seed(3)
    for parameter in loaded.model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    models.save(loaded, "other", "sft", {})
    return "other"


def written(name: str) -> list[Any]:
    loaded = models.load(name, "cpu")
    return [generation.predict(loaded, EXAMPLES, TEXT, SETTINGS, draws) for draws in (0, 2)]


def measured(name: str, predictions: list[Any], inference: str = "float32") -> list[float]:
    context = ScoreContext(
        name, "base", EXAMPLES, predictions, TEXT, SETTINGS, "cpu", inference=inference, progress=lambda x, *_: x
    )
    return [value for row in kl.score(kl.Config(), context) for value in row.values.values()]


def test_summaries_and_kl_are_the_same_in_parts(other: str, request: pytest.FixtureRequest) -> None:
    whole = written(other)
    rows = [*whole[0], *whole[1]]
    values = measured(other, rows)
    refused = request.getfixturevalue("scarce")
    assert written(other) == whole and 5 in refused
    refused.clear()
    assert measured(other, rows) == pytest.approx(values, abs=1e-5) and refused
    assert max(map(abs, values)) > 0.01


def test_a_classifier_scores_the_same_in_parts(tiny_reward: Path, request: pytest.FixtureRequest) -> None:
    texts = [example.source for example in EXAMPLES]
    whole = loading.load("reward", "cpu").logits(texts)
    refused = request.getfixturevalue("scarce")
    assert loading.load("reward", "cpu").logits(texts) == pytest.approx(whole, abs=1e-6) and refused


def test_bfloat16_writes_and_scores_close_to_float32(other: str, tiny_reward: Path) -> None:
    loaded = models.in_precision(models.load("base", "cpu"), "bfloat16")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    rows = generation.predict(loaded, EXAMPLES, TEXT, SETTINGS, 2)
    assert len(rows) == 14 and all(row.token_ids for row in rows)
    assert all(abs(value) < 1e-6 for value in measured("base", rows, "bfloat16"))  # from itself
    exact_kl, rounded_kl = (measured(other, rows, kind) for kind in ("float32", "bfloat16"))
    assert exact_kl != rounded_kl and rounded_kl == pytest.approx(exact_kl, rel=0.2, abs=0.05)
    texts = [example.source for example in EXAMPLES]
    exact, rounded = (loading.load("reward", "cpu", kind).logits(texts) for kind in ("float32", "bfloat16"))
    assert 0 < abs(exact - rounded).max() < 0.05 * abs(exact).max() + 0.01


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "float32"), ({"tf32": True}, "tf32"), ({"tf32": True, "inference": "bfloat16"}, "bfloat16")],
)
def test_the_arithmetic_of_writing_and_scoring_has_a_name(settings: dict[str, Any], said: str) -> None:
    assert ComputeConfig(**settings).arithmetic == said
