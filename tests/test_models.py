"""Encoding, log-probabilities and generation on the tiny T5, against plain loops over transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import generate, models
from bench.schema import Example, GenerationConfig, TextConfig, UserError

TEXT = TextConfig(max_source_tokens=24, max_target_tokens=6)
EXAMPLES = [
    Example(
        id=str(i), dialogue_id=str(i), source=" ".join(["#person1# : hello", *["a b c d"] * i]), references=("a b",)
    )
    for i in range(5)
]


@pytest.fixture
def loaded(tiny_base: Path) -> models.Loaded:
    return models.load("base", "cpu")


def test_a_saved_untied_head_stays_untied(loaded: models.Loaded) -> None:
    assert loaded.model.lm_head.weight.data_ptr() != loaded.model.shared.weight.data_ptr()
    assert not torch.equal(loaded.model.lm_head.weight, loaded.model.shared.weight)


def test_a_long_dialogue_loses_its_end_and_the_instruction_stays(loaded: models.Loaded) -> None:
    tool = loaded.tokenizer
    short, cut = models.encode_source(tool, "hello", TEXT)
    assert not cut and short == tool("Summarize the following conversation. hello Summary:")["input_ids"]
    ids, cut = models.encode_source(tool, "hello a b c d e f g h i j " * 9, TEXT)
    assert cut and len(ids) == TEXT.max_source_tokens
    end = tool(" Summary: ")["input_ids"]
    assert ids[-len(end) :] == end and ids[: len(short) - len(end)] == short[: -len(end)]


def test_a_prompt_that_does_not_fit_is_said(loaded: models.Loaded) -> None:
    with pytest.raises(UserError, match="max_source_tokens"):
        models.encode_source(
            loaded.tokenizer, "hello " * 50, TextConfig(prompt="a b c d e f g h i {source}", max_source_tokens=8)
        )


def test_targets_end_with_end_of_sequence_within_the_limit(loaded: models.Loaded) -> None:
    ids = models.encode_target(loaded.tokenizer, "a b c d e f g h", TEXT)
    assert len(ids) == 6 and ids[-1] == loaded.tokenizer.eos_token_id
    assert models.encode_target(loaded.tokenizer, "a", TEXT)[-1] == loaded.tokenizer.eos_token_id


def test_log_probabilities_equal_a_loop_without_padding(loaded: models.Loaded) -> None:
    sources, targets = [[5, 6, 7, 1], [8, 1]], [[9, 10, 1], [11, 12, 13, 14, 1]]
    batch = models.collate(sources, targets, 0, "cpu")
    with torch.no_grad():
        found, mask = models.token_logprobs(models.target_logits(loaded.model, batch).logits, batch.labels)
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            out = loaded.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[0, *target[:-1]]]))
            expected = [torch.log(torch.softmax(out.logits[0, t], -1))[token].item() for t, token in enumerate(target)]
            assert found[i, mask[i]].tolist() == pytest.approx(expected, abs=1e-5)
    assert mask.sum(1).tolist() == [3, 5] and found[0, 3:].tolist() == [0, 0]


def test_greedy_summaries_do_not_depend_on_the_batch(loaded: models.Loaded) -> None:
    one, many = (
        generate.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=8, batch_size=size)) for size in (1, 5)
    )
    assert [row.token_ids for row in one] == [row.token_ids for row in many]
    assert [row.id for row in one] == [example.id for example in EXAMPLES]


def test_greedy_is_the_argmax_at_every_step(loaded: models.Loaded) -> None:
    row = generate.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=8))[0]
    ids, _ = models.encode_source(loaded.tokenizer, EXAMPLES[0].source, TEXT)
    so_far = [0]
    with torch.no_grad():
        for token in row.token_ids:
            logits = loaded.model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([so_far])).logits[0, -1]
            assert token == int(logits.argmax())
            so_far.append(token)


def test_the_checkpoint_own_decoding_settings_do_not_leak_in(loaded: models.Loaded) -> None:
    loaded.model.generation_config.max_length = 3
    loaded.model.generation_config.num_beams = 4
    loaded.model.generation_config.top_k = 1
    rows = generate.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=8), draws=20)
    assert len(rows) == 20 and 3 < max(len(row.token_ids) for row in rows) <= 8
    assert len({row.token_ids for row in rows}) > 1


def test_samples_follow_the_model_s_own_distribution(loaded: models.Loaded) -> None:
    draws = 4000
    torch.manual_seed(0)
    rows = generate.predict(loaded, EXAMPLES[:1], TEXT, GenerationConfig(max_new_tokens=1), draws=draws)
    ids, _ = models.encode_source(loaded.tokenizer, EXAMPLES[0].source, TEXT)
    with torch.no_grad():
        p = loaded.model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[0]])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor([row.token_ids[0] for row in rows]), minlength=len(p))
    # Pearson's chi-square: mean and variance are those of its degrees of freedom
    chi2, freedom = (((counts - draws * p) ** 2) / (draws * p)).sum().item(), len(p) - 1
    assert abs(chi2 - freedom) < 5 * (2 * freedom) ** 0.5


def test_the_limit_is_reported(loaded: models.Loaded) -> None:
    loaded.model.lm_head.weight.data[1] = 0.0
    rows = generate.predict(loaded, EXAMPLES, TEXT, GenerationConfig(max_new_tokens=2))
    for row in rows:
        assert row.hit_limit == (loaded.tokenizer.eos_token_id not in row.token_ids)


def test_pickled_weights_are_refused(tiny_base: Path) -> None:
    state = {}
    (tiny_base / "model.safetensors").rename(tiny_base / "other.bin")
    torch.save(state, tiny_base / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        models.load("base", "cpu")
