"""Exact KL: zero where it must be, the closed form where there is one, and the sampled estimate around it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import generation
from bench.core import paths, plugins, storage
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, Prediction, UserError
from bench.lm import models, prompts
from bench.metrics import ScoreContext

TEXT = TextConfig(max_source_tokens=40, max_target_tokens=8)
EXAMPLES = [Example(id=c, dialogue_id=c, source=f"hello {c}", references=("a b",)) for c in "abc"]
kl = plugins.find("metric", "kl")


def rows(variant: str, start: str, draws: int = 0) -> list:
    written = []
    if draws:
        torch.manual_seed(0)
        loaded = models.load(variant, "cpu")
        written = generation.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=4), draws)
    context = ScoreContext(
        variant=variant,
        start=start,
        examples=EXAMPLES,
        predictions=written,
        text=TEXT,
        generation=GenerationConfig(),
        device="cpu",
    )
    return kl.score(kl.Config(batch_size=2), context)


@pytest.fixture
def shifted(tiny_base: Path) -> str:
    """A variant whose head differs from the base's."""
    loaded = models.load("base", "cpu")
    torch.manual_seed(3)
    loaded.model.lm_head.weight.data += 0.1 * torch.randn_like(loaded.model.lm_head.weight)
    models.save(loaded, "shifted", "sft", {})
    return "shifted"


def test_a_model_is_at_zero_from_itself(tiny_base: Path) -> None:
    for row in rows("base", "base", draws=2):
        assert set(row.values.values()) == {0.0}


def test_another_name_of_the_base_is_at_zero_by_one_pass(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alias = {"variant": "same", "method": "none", "kind": "alias", "parent": "base", "trainable_parameters": 0}
    storage.write_json(paths.model_path("same") / "manifest.json", alias | {"total_parameters": 1, "facts": {}})
    asked, real = [], models.target_logits
    monkeypatch.setattr(models, "target_logits", lambda model, *given: asked.append(model) or real(model, *given))
    for row in rows("same", "base"):
        assert row.values["kl_base"] == row.values["kl_start"] == 0.0
    assert len(asked) == -(-len(EXAMPLES) // 2)  # two dialogues a batch
    assert len(set(map(id, asked))) == 1


def test_exact_values_equal_a_plain_sum(shifted: str) -> None:
    policy, base = models.load(shifted, "cpu"), models.load("base", "cpu")
    for row, example in zip(rows(shifted, "base"), EXAMPLES, strict=True):
        source, _, _ = prompts.encode_source(policy.tokenizer, example.source, TEXT)
        target = prompts.encode_target(policy.tokenizer, "a b", TEXT)
        with torch.no_grad():
            p, q = (
                m.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[0, *target[:-1]]]))
                .logits[0]
                .double()
                for m in (policy, base)
            )
        p, q = p.softmax(-1), q.softmax(-1)
        expected = sum(
            float(p[t, v] * (p[t, v] / q[t, v]).log()) for t in range(len(target)) for v in range(p.shape[1])
        )
        assert row.values["kl_base"] == pytest.approx(expected, rel=1e-4)
        assert row.values["kl_base_token"] == pytest.approx(expected / len(target), rel=1e-4)
        assert row.values["kl_start"] == row.values["kl_base"]


def test_the_sampled_estimate_is_unbiased(shifted: str) -> None:
    sampled = [row.values for row in rows(shifted, "base", draws=400) if row.output == "sample"]
    exact = torch.tensor([value["kl_base"] for value in sampled])
    k1 = torch.tensor([value["kl_base_k1"] for value in sampled])
    gap = (k1 - exact).mean()
    assert abs(gap) < 4 * (k1 - exact).std() / len(sampled) ** 0.5
    assert exact.mean() > 0


def test_base_and_start_are_told_apart(shifted: str) -> None:
    for row in rows(shifted, shifted):
        assert row.values["kl_start"] == 0.0 and row.values["kl_base"] > 0


def test_tokens_that_the_model_does_not_have_are_named(tiny_base: Path) -> None:
    odd = Prediction(id="b", dialogue_id="b", output="sample", draw=0, text="", token_ids=(5, 42, 1))
    context = ScoreContext(
        variant="base",
        start="base",
        examples=EXAMPLES,
        predictions=[odd],
        text=TEXT,
        generation=GenerationConfig(),
        device="cpu",
    )
    with pytest.raises(
        UserError, match=r"predictions/base\.jsonl: token_ids of 'b', draw 0: 42 is beyond the model's 42"
    ):
        kl.score(kl.Config(), context)
