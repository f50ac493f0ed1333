"""Encoding and log-probabilities on the tiny T5, against plain loops over transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench import models
from bench.schema import TextConfig, UserError

TEXT = TextConfig(max_source_tokens=24, max_target_tokens=6)


@pytest.fixture
def loaded(tiny_base: Path) -> models.Loaded:
    return models.load("base", "cpu")


def test_a_saved_untied_head_stays_untied(loaded: models.Loaded) -> None:
    assert loaded.model.lm_head.weight.data_ptr() != loaded.model.shared.weight.data_ptr()
    assert not torch.equal(loaded.model.lm_head.weight, loaded.model.shared.weight)


def test_the_fused_activation_is_the_checkpoint_s_own(tiny_base: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    path = tiny_base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dense_act_fn": "gelu_new"}))
    plain, loaded = AutoModelForSeq2SeqLM.from_pretrained(tiny_base), models.load("base", "cpu")
    assert any(isinstance(module, torch.nn.GELU) for module in loaded.model.modules())
    rows = {"input_ids": torch.tensor([[5, 6, 7, 1]]), "decoder_input_ids": torch.tensor([[0, 9, 10]])}
    with torch.no_grad():
        assert torch.allclose(plain.eval()(**rows).logits, loaded.model(**rows).logits, atol=1e-6)


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


def test_pickled_weights_are_refused(tiny_base: Path) -> None:
    state = {}
    (tiny_base / "model.safetensors").rename(tiny_base / "other.bin")
    torch.save(state, tiny_base / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        models.load("base", "cpu")
