"""Generation on the tiny T5, against transformers' own `generate` and plain loops over the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import generation
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example
from bench.lm import batching, library_decoding, models, prompts

TEXT = TextConfig(max_source_tokens=24, max_target_tokens=6)
EXAMPLES = [
    Example(
        id=str(i), dialogue_id=str(i), source=" ".join(["#person1# : hello", *["a b c d"] * i]), references=("a b",)
    )
    for i in range(5)
]
REAL = Path(__file__).resolve().parents[1] / "local"


@pytest.fixture
def loaded(tiny_base: Path) -> models.Loaded:
    return models.load("base", "cpu")


def sources(loaded: models.Loaded) -> list[list[int]]:
    """Twelve encoded dialogues of three to fourteen tokens."""
    size = loaded.model.config.vocab_size
    generator = torch.Generator().manual_seed(3)
    return [[*torch.randint(2, size, (2 + i,), generator=generator).tolist(), 1] for i in range(12)]


def alone(model: Any, source: list[int], limit: int) -> tuple[int, ...]:
    """What transformers generates greedily for one dialogue without padding."""
    rows = model.generate(input_ids=torch.tensor([source]), max_new_tokens=limit, num_beams=1, do_sample=False)
    return tuple(rows[0, 1:].tolist())


def test_greedy_is_what_transformers_generates_for_each_dialogue_alone(loaded: models.Loaded) -> None:
    torch.manual_seed(51)
    for parameter in loaded.model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    expected = [alone(loaded.model, source, 12) for source in sources(loaded)]
    assert len({len(row) for row in expected}) > 3, "rows must end at different steps for finished ones to be dropped"
    assert [one.token_ids for (one,) in generation.generate(loaded, sources(loaded), 12)] == expected


@pytest.mark.parametrize("budget", [1, 30])
def test_encoding_in_pieces_changes_nothing(
    loaded: models.Loaded, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = generation.generate(loaded, sources(loaded), 8)
    monkeypatch.setitem(batching.TOKENS, "cpu", budget)
    assert generation.generate(loaded, sources(loaded), 8) == whole


@pytest.mark.parametrize(
    "adapter", [{"type": "LORA", "r": 2, "target_modules": ["q"]}, {"type": "PROMPT_TUNING", "num_virtual_tokens": 2}]
)
def test_an_adapter_writes_what_its_logits_say(loaded: models.Loaded, adapter: dict[str, Any]) -> None:
    tuned = models.with_adapter(loaded, adapter)
    torch.manual_seed(0)
    for parameter in tuned.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter)
    for source in sources(loaded)[:3]:
        (written,) = generation.generate(tuned, [source], 6)[0]
        so_far = [0]
        with torch.no_grad():
            for token in written.token_ids:
                logits = tuned.model(
                    input_ids=torch.tensor([source]),
                    attention_mask=torch.ones(1, len(source), dtype=torch.long),
                    decoder_input_ids=torch.tensor([so_far]),
                ).logits
                assert token == int(logits[0, -1].argmax())
                so_far.append(token)


@pytest.mark.parametrize("kind", ["LORA", "IA3"])
def test_an_adapter_folded_into_the_weights_writes_the_same(
    loaded: models.Loaded, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (
        {"feedforward_modules": ["wo"], "target_modules": ["q", "wo"]} if kind == "IA3" else {"target_modules": ["q"]}
    )
    tuned = models.with_adapter(loaded, {"type": kind, **more})
    torch.manual_seed(0)
    for parameter in tuned.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.5)
    monkeypatch.setattr(models, "load", lambda name, device: tuned)
    expected = generation.generate(tuned, sources(loaded), 8)
    folded = models.to_write("any", "cpu", "float32")
    assert not hasattr(folded.model, "peft_config")
    assert generation.generate(folded, sources(loaded), 8) == expected


def test_a_dialogue_is_encoded_once_for_all_its_draws(loaded: models.Loaded) -> None:
    seen = []
    loaded.model.get_encoder().register_forward_hook(lambda _, __, out: seen.append(len(out.last_hidden_state)))
    assert [len(rows) for rows in generation.generate(loaded, sources(loaded), 4, torch.rand(12, 5, 4))] == [5] * 12
    assert sum(seen) == 12


@pytest.mark.skipif(not (REAL / "flan-t5-small-titler").is_dir(), reason="local/flan-t5-small-titler is not here")
@pytest.mark.skipif(not (REAL / "dialogsum").is_dir(), reason="local/dialogsum is not here")
def test_a_real_checkpoint_writes_the_same_in_any_batch(workdir: Path) -> None:
    (workdir / "models").mkdir()
    (workdir / "models" / "base").symlink_to((REAL / "flan-t5-small-titler").resolve())
    loaded = models.load("base", "cpu")
    with (REAL / "dialogsum" / "dialogsum.test.jsonl").open(encoding="utf-8") as file:
        dialogues = sorted((json.loads(next(file))["dialogue"] for _ in range(100)), key=len)[:4]
    encoded = [prompts.encode_source(loaded.tokenizer, dialogue, TextConfig())[0] for dialogue in dialogues]
    expected = [alone(loaded.model, source, 12) for source in encoded]
    for size in (1, 4):
        rows = [row for i in range(0, 4, size) for row in generation.generate(loaded, encoded[i : i + size], 12)]
        assert [one.token_ids for (one,) in rows] == expected


@pytest.mark.parametrize("draws", [0, 3])
def test_how_often_the_ends_are_looked_at_changes_nothing(
    loaded: models.Loaded, draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for every in (1, 3, 100):
        monkeypatch.setitem(generation.LOOKED_AT, "cpu", every)
        found.append(generation.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=8), draws))
    assert found[0] == found[1] == found[2]
    assert len({len(row.token_ids) for row in found[0]}) > 1 or not draws


def test_greedy_summaries_do_not_depend_on_the_batch(loaded: models.Loaded) -> None:
    one, many = (
        generation.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=8, batch_size=size))
        for size in (1, 5)
    )
    assert [row.token_ids for row in one] == [row.token_ids for row in many]
    assert [row.id for row in one] == [example.id for example in EXAMPLES]


@pytest.mark.parametrize(
    "adapter",
    [None, {"type": "PREFIX_TUNING", "num_virtual_tokens": 3}, {"type": "LORA", "target_modules": ["q", "v"]}],
)
def test_samples_depend_on_seed_dialogue_and_draw_alone(loaded: models.Loaded, adapter: dict[str, Any] | None) -> None:
    torch.manual_seed(0)
    writer = loaded if adapter is None else models.with_adapter(loaded, adapter)

    def drawn(examples: list[Example], draws: int, size: int, seed: int = 0) -> dict[tuple[str, int], tuple[int, ...]]:
        config = GenerationConfig(max_new_tokens=8, batch_size=size, seed=seed)
        rows = generation.predict(writer, examples, TEXT, config, draws)
        return {(row.id, row.draw): row.token_ids for row in rows}

    whole = drawn(EXAMPLES, 3, 5)
    assert len(set(whole.values())) > len(EXAMPLES), "the draws of a dialogue must differ"
    assert drawn(EXAMPLES, 3, 1) == whole
    assert drawn(EXAMPLES[::-1], 3, 2) == whole
    assert drawn(EXAMPLES[2:], 1, 64).items() <= whole.items()
    assert drawn(EXAMPLES, 3, 5, seed=1) != whole


def test_greedy_is_the_argmax_at_every_step(loaded: models.Loaded) -> None:
    row = generation.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=8))[0]
    ids, _, _ = prompts.encode_source(loaded.tokenizer, EXAMPLES[0].source, TEXT)
    so_far = [0]
    with torch.no_grad():
        for token in row.token_ids:
            logits = loaded.model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([so_far])).logits[0, -1]
            assert token == int(logits.argmax())
            so_far.append(token)


def test_the_checkpoint_own_decoding_settings_do_not_leak_in(loaded: models.Loaded) -> None:
    loaded.model.generation_config.max_length = 3
    loaded.model.generation_config.min_length = 8
    loaded.model.generation_config.no_repeat_ngram_size = 1
    loaded.model.generation_config.num_beams = 4
    loaded.model.generation_config.top_k = 1
    rows = generation.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=8), draws=20)
    assert len(rows) == 20 and 3 < max(len(row.token_ids) for row in rows) <= 8
    assert len({row.token_ids for row in rows}) > 1


def test_samples_follow_the_model_s_own_distribution(loaded: models.Loaded) -> None:
    draws = 4000
    torch.manual_seed(0)
    rows = generation.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=1), draws=draws)
    ids, _, _ = prompts.encode_source(loaded.tokenizer, EXAMPLES[0].source, TEXT)
    with torch.no_grad():
        p = loaded.model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[0]])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor([row.token_ids[0] for row in rows]), minlength=len(p))
    # Pearson's chi-square: mean and variance are those of its degrees of freedom
    chi2, freedom = (((counts - draws * p) ** 2) / (draws * p)).sum().item(), len(p) - 1
    assert abs(chi2 - freedom) < 5 * (2 * freedom) ** 0.5


def test_the_limit_is_reported(loaded: models.Loaded) -> None:
    loaded.model.lm_head.weight.data[1] = 0.0
    rows = generation.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=2))
    for row in rows:
        assert row.hit_limit == (loaded.tokenizer.eos_token_id not in row.token_ids)


def test_each_chance_draws_the_token_it_falls_on() -> None:
    """Chances that lie evenly in [0, 1) find every token as often as it is likely, to one of them."""
    logits = torch.tensor([-1.0, 0.5, float("-inf"), 2.0, 0.0, float("-inf")])
    even = (torch.arange(2000) + 0.5) / 2000
    found = torch.bincount(library_decoding.sampled_token(logits.expand(2000, -1), even)[:, 0], minlength=6)
    assert ((found - 2000 * logits.softmax(-1)).abs() <= 1).all()
    assert found[2] == found[5] == 0


@pytest.mark.parametrize("adapter", [{"type": "PROMPT_TUNING", "num_virtual_tokens": 2}, {"type": "IA3"}])
def test_greedy_does_not_depend_on_the_batch_under_an_adapter_either(
    loaded: models.Loaded, adapter: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    writer = models.with_adapter(loaded, adapter)
    one, many = (
        generation.predict(writer, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=8, batch_size=size))
        for size in (1, 5)
    )
    assert [row.token_ids for row in one] == [row.token_ids for row in many]
