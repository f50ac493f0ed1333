"""A GGUF file becomes a checkpoint as any other. The file is written here by the format's own package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from bench.checkpoints import BuildContext, gguf
from bench.core import paths, storage
from bench.core.schema import UserError
from bench.lm import models


def block(**values: str) -> gguf.Config:
    return gguf.Config(**{"source": "gguf", "path": "tiny.gguf", "name": "tiny"} | values)


@pytest.fixture
def file(workdir: Path) -> Path:
    return write()


def write(lacking: str = "") -> Path:
    """A Llama of one layer with grouped heads, a byte-level tokenizer and a chat template, less one tensor."""
    tool = pytest.importorskip("gguf", reason="the package gguf is not installed")
    from tokenizers import pre_tokenizers

    torch.manual_seed(0)
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "he", "ll"]
    writer = tool.GGUFWriter("tiny.gguf", "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(4)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3] * 3 + [1] * (len(words) - 3))
    writer.add_token_merges(["h e", "l l"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    shapes = {
        "token_embd": (len(words), 16),
        "blk.0.attn_q": (16, 16),
        "blk.0.attn_k": (8, 16),
        "blk.0.attn_v": (8, 16),
        "blk.0.attn_output": (16, 16),
        "blk.0.ffn_gate": (32, 16),
        "blk.0.ffn_up": (32, 16),
        "blk.0.ffn_down": (16, 32),
        "blk.0.attn_norm": (16,),
        "blk.0.ffn_norm": (16,),
        "output_norm": (16,),
    }
    for name, shape in shapes.items():
        if name != lacking:
            writer.add_tensor(f"{name}.weight", torch.randn(shape).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path("tiny.gguf").resolve()


def test_a_tensor_that_is_missing_is_named(workdir: Path) -> None:
    write(lacking="blk.0.ffn_up")
    with pytest.raises(
        UserError, match=r"tiny\.gguf lacks 1 weights of its model \(model\.layers\.0\.mlp\.up_proj\.weight\)"
    ):
        gguf.build(block(), BuildContext(paths.model_path("base")))
    assert not paths.model_path("base").exists()


def test_one_of_several_parts_is_refused(workdir: Path) -> None:
    Path("big-00001-of-00003.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"'big-00001-of-00003\.gguf' is one of 3 parts; give the merged file"):
        block(path="big-00001-of-00003.gguf").check()


def test_the_weights_and_the_tokenizer_are_those_of_the_file(file: Path) -> None:
    from gguf import GGUFReader

    facts = gguf.build(block(sha256=storage.sha256_file(file)), BuildContext(paths.model_path("base")))
    loaded = models.load("base", "cpu")
    stored = {tensor.name: torch.tensor(tensor.data) for tensor in GGUFReader(file).tensors}
    mlp = loaded.model.model.layers[0].mlp
    assert torch.equal(loaded.model.get_input_embeddings().weight, stored["token_embd.weight"])
    assert torch.equal(mlp.down_proj.weight, stored["blk.0.ffn_down.weight"])
    assert loaded.model.get_output_embeddings().weight is loaded.model.get_input_embeddings().weight
    assert loaded.tokenizer.convert_ids_to_tokens(loaded.tokenizer("hell", add_special_tokens=False)["input_ids"]) == [
        "he",
        "ll",
    ]
    assert loaded.tokenizer.eos_token == "<|im_end|>" and loaded.tokenizer.chat_template
    assert facts["name"] == "tiny" and facts["bytes"] > 0


def test_a_file_that_breaks_off_leaves_nothing_behind(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match="tiny.gguf cannot be loaded"):
        gguf.build(block(), BuildContext(paths.model_path("base")))
    assert not paths.model_path("base").exists()


def test_what_is_missing_or_another_is_said(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="'tiny.gguf' is not a file"):
        block().check()
    Path("tiny.gguf").write_bytes(b"PK..")
    with pytest.raises(UserError, match="'tiny.gguf' is no GGUF file"):
        block().check()
    Path("tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="run `pip install gguf`"):
        block().check()
    monkeypatch.setattr(gguf, "find_spec", importlib.util.find_spec)
    monkeypatch.setattr(gguf.Config, "check", lambda self: None)
    with pytest.raises(UserError, match="sha256: 0{64} is asked for"):
        gguf.build(block(sha256="0" * 64), BuildContext(paths.model_path("base")))
