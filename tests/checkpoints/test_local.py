"""A folder of this machine becomes a checkpoint: weights, config and tokenizer, and nothing that runs."""

from __future__ import annotations

import errno

import pytest
from pydantic import ValidationError

from bench import artifacts
from bench.checkpoints import local
from bench.schema import UserError

FILES = ("config.json", "model.safetensors", "tokenizer.json", "spiece.model", "merges.txt", "chat_template.jinja")
LEFT = ("pytorch_model.bin", "modeling.py", "training_args.bin", "optimizer.pt", "x.pkl", "manifest.json", "facts.json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "given"
    (made / "checkpoint-5").mkdir(parents=True)
    for name in (*FILES, *LEFT):
        (made / name).write_text(f"{{}} {name}")
    return made


def block(**values):
    return local.Config(**{"source": "local", "path": "given", "name": "tiny-model"} | values)


def test_copies_what_is_needed(folder, tmp_path):
    out = tmp_path / "models" / "base"
    facts = local.build(block(), out)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    digest = artifacts.sha256_folder(folder, (".safetensors",))
    assert facts == {"name": "tiny-model", "sha256": digest, "bytes": (folder / "model.safetensors").stat().st_size}
    assert local.build(block(sha256=digest), out)["sha256"] == digest


def test_links_or_copies_across_file_systems(folder, tmp_path, monkeypatch):
    local.build(block(), tmp_path / "linked")
    assert (tmp_path / "linked" / "model.safetensors").samefile(folder / "model.safetensors")

    def refuse(self, target):
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(type(folder), "hardlink_to", refuse)
    local.build(block(), tmp_path / "copied")
    copy = tmp_path / "copied" / "model.safetensors"
    assert copy.read_bytes() == (folder / copy.name).read_bytes() and not copy.samefile(folder / copy.name)


def test_replaces_what_was_there_and_leaves_the_source(folder, tmp_path):
    out = tmp_path / "out"
    local.build(block(), out)
    (out / "model-00002.safetensors").write_text("from before")
    before = (folder / "model.safetensors").read_bytes()
    local.build(block(), out)
    assert not (out / "model-00002.safetensors").exists() and (folder / "model.safetensors").read_bytes() == before


def test_follows_symbolic_links(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    local.build(block(), tmp_path / "models" / "base")
    placed = tmp_path / "models" / "base" / "model.safetensors"
    assert placed.is_file() and not placed.is_symlink()


def test_refuses_other_weights(folder, tmp_path):
    digest = artifacts.sha256_folder(folder, (".safetensors",))
    with pytest.raises(UserError, match=f"{'0' * 64} is asked for .* have {digest}"):
        local.build(block(sha256="0" * 64), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValidationError):
        block(sha256="short")


def test_refuses_what_it_cannot_use(folder, tmp_path):
    with pytest.raises(UserError, match="'elsewhere' is not a folder; give a folder that `save_pretrained` wrote"):
        local.build(block(path="elsewhere"), tmp_path / "out")
    for out in (folder, folder.parent):
        with pytest.raises(UserError, match="which this stage replaces"):
            local.build(block(), out)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        local.build(block(), tmp_path / "out")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"only pickled weights \(optimizer\.pt\)"):
        local.build(block(), tmp_path / "out")
    for name in LEFT:
        (folder / name).unlink()
    with pytest.raises(UserError, match="holds no weights"):
        local.build(block(), tmp_path / "out")
