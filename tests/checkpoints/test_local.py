"""A folder of this machine becomes a checkpoint: weights, config and tokenizer, and nothing that runs."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from bench.checkpoints import BuildContext, local
from bench.core import manifest
from bench.core.schema import UserError

FILES = ("config.json", "model.safetensors", "tokenizer.json", "spiece.model", "merges.txt", "chat_template.jinja")
LEFT = ("pytorch_model.bin", "modeling.py", "training_args.bin", "optimizer.pt", "x.pkl", "manifest.json", "facts.json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "given"
    (made / "checkpoint-5").mkdir(parents=True)
    for name in (*FILES, *LEFT):
        (made / name).write_text("{}")
    save_file({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}, made / "model.safetensors")
    return made


def block(**values):
    return local.Config(**{"source": "local", "path": "given", "name": "tiny-model"} | values)


def test_copies_what_is_needed(folder, tmp_path):
    out = tmp_path / "models" / "base"
    facts = local.build(block(), BuildContext(out))
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    digest = manifest.folder_digest(folder)
    assert facts == {"name": "tiny-model", "sha256": digest, "bytes": (folder / "model.safetensors").stat().st_size}
    assert local.build(block(sha256=digest), BuildContext(out))["sha256"] == digest


def test_links_or_copies_across_file_systems(folder, tmp_path, monkeypatch):
    local.build(block(), BuildContext(tmp_path / "linked"))
    assert (tmp_path / "linked" / "model.safetensors").samefile(folder / "model.safetensors")

    def refuse(self, target):
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(type(folder), "hardlink_to", refuse)
    local.build(block(), BuildContext(tmp_path / "copied"))
    copy = tmp_path / "copied" / "model.safetensors"
    assert copy.read_bytes() == (folder / copy.name).read_bytes() and not copy.samefile(folder / copy.name)


def test_replaces_what_was_there_and_leaves_the_source(folder, tmp_path):
    out = tmp_path / "out"
    local.build(block(), BuildContext(out))
    (out / "model-00002.safetensors").write_text("from before")
    before = (folder / "model.safetensors").read_bytes()
    local.build(block(), BuildContext(out))
    assert not (out / "model-00002.safetensors").exists() and (folder / "model.safetensors").read_bytes() == before


def test_follows_symbolic_links(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    local.build(block(), BuildContext(tmp_path / "models" / "base"))
    placed = tmp_path / "models" / "base" / "model.safetensors"
    assert placed.is_file() and not placed.is_symlink()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_a_pin_covers_weights_config_and_tokenizer(folder, tmp_path, file):
    pinned = block(sha256=manifest.folder_digest(folder))
    path = folder / file
    if file.endswith(".json"):
        path.write_text(json.dumps({"id2label": {"0": "swapped"}}))
    else:
        save_file({"w": np.full(2, 7, np.float32)}, path)
    with pytest.raises(UserError, match="weights, config and tokenizer"):
        local.build(pinned, BuildContext(tmp_path / "out"))


def test_refuses_other_weights(folder, tmp_path):
    digest = manifest.folder_digest(folder)
    with pytest.raises(UserError, match=f"{'0' * 64} is asked for .* have {digest}"):
        local.build(block(sha256="0" * 64), BuildContext(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValidationError):
        block(sha256="short")


def test_refuses_what_it_cannot_use(folder, tmp_path):
    with pytest.raises(UserError, match="'elsewhere' is not a folder; give a folder that `save_pretrained` wrote"):
        local.build(block(path="elsewhere"), BuildContext(tmp_path / "out"))
    for out in (folder, folder.parent):
        with pytest.raises(UserError, match="which this stage replaces"):
            local.build(block(), BuildContext(out))
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        local.build(block(), BuildContext(tmp_path / "out"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"only pickled weights \(optimizer\.pt\)"):
        local.build(block(), BuildContext(tmp_path / "out"))
    for name in LEFT:
        (folder / name).unlink()
    with pytest.raises(UserError, match="holds no weights"):
        local.build(block(), BuildContext(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", "{", r"given/config\.json is not valid JSON"),
        ("config.json", "[]", r"given/config\.json must hold a JSON object"),
        ("tokenizer_config.json", '"x"', r"given/tokenizer_config\.json must hold a JSON object"),
        ("tokenizer.json", "[" * 100_000, r"given/tokenizer\.json is not valid JSON"),
        (
            "config.json",
            '{"auto_map": {"AutoModel": "modeling.Evil"}}',
            r"config\.json: auto_map: the model asks to run code",
        ),
        (
            "tokenizer_config.json",
            '{"a": [{"auto_map": ["x.Y", null]}]}',
            r"tokenizer_config\.json: auto_map: .* run code",
        ),
        (
            "config.json",
            '{"attn_implementation": "stranger/kernel"}',
            r"config\.json: attn_implementation: .* run code",
        ),
        ("config.json", '{"quantization_config": {"quant_method": "bitsandbytes"}}', "quantised weights are not read"),
        ("tokenizer_config.json", '{"a": {"x\\u001b[31m": 1}}', r"a key with control characters"),
        ("config.json", '{"num_layers": 1000000000}', r"config\.json: num_layers: 1000000000 layers, .* 1 tensors"),
    ],
)
def test_refuses_settings_that_lie_or_ask_for_code(folder, tmp_path, name, content, said):
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=said):
        local.build(block(), BuildContext(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_takes_a_vocabulary_that_holds_the_word_and_a_plain_attention(folder, tmp_path):
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"auto_map": 1}}}))
    (folder / "vocab.json").write_text(json.dumps({"auto_map": 2, "\x1b": 3}))
    (folder / "config.json").write_text(json.dumps({"attn_implementation": "sdpa", "num_layers": 1}))
    local.build(block(), BuildContext(tmp_path / "out"))


@pytest.mark.parametrize("keep", [0, 4, 8, 30, -1])
def test_refuses_weights_that_are_cut_off(folder, tmp_path, keep):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:keep])
    with pytest.raises(UserError, match=r"given/model\.safetensors is no whole safetensors file"):
        local.build(block(), BuildContext(tmp_path / "out"))
    (folder / "model.safetensors").write_bytes(whole + b"more")
    with pytest.raises(UserError, match="no whole safetensors file"):
        local.build(block(), BuildContext(tmp_path / "out"))


def test_an_experiment_in_a_copy_says_why_files_are_missing(tmp_path, monkeypatch):
    """`dvc exp run --temp` and the queue run in .dvc/tmp/exps, where what git ignores is not."""
    for folder, said in ((tmp_path, False), (tmp_path / ".dvc" / "tmp" / "exps" / "tmpx", True)):
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        with pytest.raises(UserError) as caught:
            local.Config(source="local", path="local/mine", name="x").check()
        assert (
            "which lacks what git ignores, local/ too: name the file by its absolute path" in str(caught.value)
        ) is said
        assert str(caught.value).endswith(".") and "'local/mine' is not a folder" in str(caught.value)


def test_a_folder_without_a_tokenizer_is_refused_before_anything_long(folder, tmp_path):
    for name in ("tokenizer.json", "spiece.model"):
        (folder / name).unlink()
    with pytest.raises(
        UserError, match=r"holds no tokenizer .*; save the model's own there with `tokenizer\.save_pretrained"
    ):
        block().check()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    block().check()  # its tokens are bytes
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    with pytest.raises(UserError, match="holds no tokenizer"):
        block().check()
    for name in ("tokenizer.json", "vocab.json", "vocab.txt", "sentencepiece.bpe.model", "source.spm"):
        (folder / name).write_text("{}")
        block().check()
        (folder / name).unlink()
