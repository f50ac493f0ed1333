"""Encoding and log-probabilities on the tiny T5, against plain loops over transformers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSeq2SeqLM

from bench import generation
from bench.core import paths, storage
from bench.core.blocks import GenerationConfig, TextConfig
from bench.core.schema import Example, UserError
from bench.lm import models, prompts

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
    short, cut, _ = prompts.encode_source(tool, "hello", TEXT)
    assert not cut and short == tool("Summarize the following conversation. hello Summary:")["input_ids"]
    ids, cut, _ = prompts.encode_source(tool, "hello a b c d e f g h i j " * 9, TEXT)
    assert cut and len(ids) == TEXT.max_source_tokens
    end = tool(" Summary: ")["input_ids"]
    assert ids[-len(end) :] == end and ids[: len(short) - len(end)] == short[: -len(end)]


def test_a_prompt_that_does_not_fit_is_said(loaded: models.Loaded) -> None:
    with pytest.raises(UserError, match="max_source_tokens"):
        prompts.encode_source(
            loaded.tokenizer, "hello " * 50, TextConfig(prompt="a b c d e f g h i {source}", max_source_tokens=8)
        )


def test_targets_end_with_end_of_sequence_within_the_limit(loaded: models.Loaded) -> None:
    ids = prompts.encode_target(loaded.tokenizer, "a b c d e f g h", TEXT)
    assert len(ids) == 6 and ids[-1] == loaded.tokenizer.eos_token_id
    assert prompts.encode_target(loaded.tokenizer, "a", TEXT)[-1] == loaded.tokenizer.eos_token_id


def test_log_probabilities_equal_a_loop_without_padding(loaded: models.Loaded) -> None:
    sources, targets = [[5, 6, 7, 1], [8, 1]], [[9, 10, 1], [11, 12, 13, 14, 1]]
    batch = models.collate(sources, targets, 0, "cpu")
    with torch.no_grad():
        found, mask = models.token_logprobs(models.target_logits(loaded.model, batch), batch.labels)
        for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
            out = loaded.model(input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([[0, *target[:-1]]]))
            expected = [torch.log(torch.softmax(out.logits[0, t], -1))[token].item() for t, token in enumerate(target)]
            assert found[i, mask[i]].tolist() == pytest.approx(expected, abs=1e-5)
    assert mask.sum(1).tolist() == [3, 5] and found[0, 3:].tolist() == [0, 0]


def test_a_folder_that_is_not_there_is_named(workdir: Path) -> None:
    with pytest.raises(UserError, match="models/base does not exist; run `dvc repro` to make it"):
        models.load("base", "cpu")


def test_pickled_weights_are_refused(tiny_base: Path) -> None:
    state = {}
    (tiny_base / "model.safetensors").rename(tiny_base / "other.bin")
    torch.save(state, tiny_base / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        models.load("base", "cpu")


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_layers": 2}, r"lacks 8 weights .* \(encoder\.block\.1\."),
        ({"num_decoder_layers": 0}, r"holds \d+ weights .* has not \(decoder\.block\.0\."),
        ({"num_layers": 10**9}, "num_layers: 1000000000 layers"),
        ({"d_model": 17}, "cannot be loaded"),
        ({"model_type": "bert"}, "is neither an encoder-decoder nor a decoder-only model|cannot be loaded"),
        ({"is_encoder_decoder": False}, "'t5' is neither an encoder-decoder nor a decoder-only model"),
        ({"model_type": "stranger", "auto_map": {"AutoConfig": "x.Y"}}, "asks to run code"),
        ({"model_type": "stranger"}, "cannot be loaded"),
        ({"dtype": "floaty"}, "cannot be loaded"),
        ({"dropout_rate": "x"}, "cannot be loaded"),
        ({"id2label": "x"}, "cannot be loaded"),
    ],
)
def test_settings_of_another_architecture_are_refused(tiny_base: Path, changes: dict[str, Any], said: str) -> None:
    edit(tiny_base / "config.json", **changes)
    with pytest.raises(UserError, match=said):
        models.load("base", "cpu")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_weights_that_are_cut_off_are_refused(tiny_base: Path, keep: int) -> None:
    path = tiny_base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match="is no whole safetensors file"):
        models.load("base", "cpu")


def test_a_tokenizer_of_another_model_is_refused(tiny_base: Path) -> None:
    facts = json.loads((tiny_base / "tokenizer.json").read_text())
    facts["model"]["vocab"]["another"] = 5000
    (tiny_base / "tokenizer.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="last token is 5000 and the model has embeddings for 42"):
        models.load("base", "cpu")


@pytest.mark.parametrize("word", ["pad_token", "eos_token"])
def test_a_tokenizer_without_padding_or_end_is_refused(tiny_base: Path, word: str) -> None:
    edit(tiny_base / "tokenizer_config.json", **{word: None})
    with pytest.raises(UserError, match=f"the tokenizer has no {word}"):
        models.load("base", "cpu")


@pytest.mark.parametrize("token", [None, 42, -1, "0", 1e308, [0], True])
def test_a_model_without_a_first_token_of_its_own_is_refused(tiny_base: Path, token: Any) -> None:
    edit(tiny_base / "config.json", decoder_start_token_id=None)
    edit(tiny_base / "generation_config.json", decoder_start_token_id=token)
    with pytest.raises(UserError, match="decoder_start_token_id: .* is no token of the model|cannot be loaded"):
        models.load("base", "cpu")


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 50.0},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(2, 40))},
        {"forced_bos_token_id": 7},
        {"output_hidden_states": True},
    ],
)
def test_what_our_decoding_leaves_open_does_not_come_from_the_checkpoint(
    tiny_base: Path, settings: dict[str, Any]
) -> None:
    limits, examples = (
        GenerationConfig(max_new_tokens=8),
        [Example(id=word, dialogue_id=word, source=f"hello {word} b c", references=("a b",)) for word in "abc"],
    )
    plain = generation.predict(models.load("base", "cpu"), examples, TEXT, limits)
    edit(tiny_base / "generation_config.json", **settings)
    assert generation.predict(models.load("base", "cpu"), examples, TEXT, limits) == plain


@pytest.fixture
def adapted(tiny_base: Path) -> Path:
    """`models/lora`, an adapter on the tiny base."""
    start = models.with_adapter(models.load("base", "cpu"), {"type": "LORA", "r": 2, "target_modules": ["q"]})
    models.save(start, "lora", "sft", {})
    return tiny_base.parent / "lora"


def test_an_adapter_comes_back_whole_or_not_at_all(adapted: Path) -> None:
    assert models.load("lora", "cpu").kind == "adapter"
    path = adapted / "adapter_config.json"
    was = path.read_text()
    for changes, said in (
        ({"target_modules": ["q", "v"]}, "lacks 6 weights"),
        ({"r": 3}, "cannot be loaded"),
        ({"peft_type": "NONE_SUCH"}, "cannot be loaded"),
        ({"auto_map": {"x": "y.Z"}}, "asks to run code"),
    ):
        edit(path, **changes)
        with pytest.raises(UserError, match=said):
            models.load("lora", "cpu")
        path.write_text(was)
    weights = adapted / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="no whole safetensors file"):
        models.load("lora", "cpu")
    weights.rename(adapted / "adapter_model.bin")
    with pytest.raises(UserError, match="pickled ones are never read"):
        models.load("lora", "cpu")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "other"}, "kind: must be one of full, adapter, alias"),
        ({"kind": "alias", "parent": None}, "parent: must name the model"),
        ({"kind": "full"}, "parent: must name the model"),
        ({"parent": "../../elsewhere"}, "parent: must name the model"),
        ({"parent": ["base"]}, "parent: must name the model"),
        ({"parent": "lora"}, "parent: leads back to 'lora'"),
        ({"parent": "absent"}, "models/absent"),
        ({"parent_digest": None}, "parent_digest: missing"),
        ({"parent_digest": "0" * 64}, "was trained on other weights"),
    ],
)
def test_an_edited_manifest_is_refused(adapted: Path, changes: dict[str, Any], said: str) -> None:
    edit(adapted / "manifest.json", **changes)
    with pytest.raises(UserError, match=said):
        models.load("lora", "cpu")


def test_manifests_that_lead_in_a_circle_are_refused(adapted: Path) -> None:
    for name, parent in (("one", "two"), ("two", "three"), ("three", "two")):
        shutil.copytree(adapted, adapted.parent / name)
        edit(adapted.parent / name / "manifest.json", kind="alias", parent=parent)
    with pytest.raises(UserError, match="parent: leads back to 'two'"):
        models.load("one", "cpu")
    (adapted / "manifest.json").write_text("[1]")
    with pytest.raises(UserError, match=r"manifest\.json must hold a JSON object"):
        models.load("lora", "cpu")


def test_a_token_that_the_tokenizer_adds_beyond_the_model_is_refused(tiny_base: Path) -> None:
    path = tiny_base / "tokenizer.json"
    held = json.loads(path.read_text())
    for special in held["post_processor"]["special_tokens"].values():
        special["ids"] = [1_000_000]
    path.write_text(json.dumps(held))
    with pytest.raises(UserError, match="last token is 1000000 and the model has embeddings for"):
        models.load("base", "cpu")


def test_an_adapter_s_files_are_equal_whatever_the_order_of_hashes(tiny_base: Path) -> None:
    """peft keeps module names in sets, whose order is another in every process: DVC would call the model changed."""
    code = (
        "from bench.lm import models; from bench.core import runtime; from bench.core.blocks import ComputeConfig; "
        "runtime.prepare(ComputeConfig(device='cpu'), 0); "
        "a = {'type': 'LORA', 'r': 2, 'target_modules': ['q', 'k', 'v', 'o', 'wi', 'wo']}; "
        "models.save(models.with_adapter(models.load('base', 'cpu'), a), 'lora', 'sft', {})"
    )
    digests = set()
    for seed in ("1", "2", "3"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
        digests.add(storage.sha256_folder(paths.model_path("lora")))
    assert len(digests) == 1


def test_weights_that_a_library_loads_as_others_are_refused(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers 5.17 did so with a T5 without `shared.weight` (transformers#48154)."""
    load = AutoModelForSeq2SeqLM.from_pretrained

    def confused(*arguments: Any, **options: Any) -> Any:
        model, report = load(*arguments, **options)
        model.shared.weight.data.copy_(model.lm_head.weight.data)
        return model, report

    monkeypatch.setattr(AutoModelForSeq2SeqLM, "from_pretrained", confused)
    with pytest.raises(
        UserError, match=r"loads other values for '\S+' than the file holds; install transformers>=5\.23"
    ):
        models.load("base", "cpu")


def test_an_embedding_stored_under_its_users_names_alone_is_loaded_right(tiny_base: Path) -> None:
    """As T5s were stored that have no `shared.weight`; older transformers are refused instead."""
    path = tiny_base / "model.safetensors"
    tensors = load_file(path)
    embedding = tensors.pop("shared.weight")
    for side in ("encoder", "decoder"):
        tensors[f"{side}.embed_tokens.weight"] = embedding.clone()
    save_file(tensors, path, {"format": "pt"})
    assert torch.equal(models.load("base", "cpu").model.get_input_embeddings().weight, embedding)
