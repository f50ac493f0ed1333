"""A model of the hub becomes a checkpoint: weights, config and tokenizer of one commit, and nothing that runs."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from bench.checkpoints import BuildContext, hub
from bench.core import hub as the_hub
from bench.core import manifest, storage
from bench.core.schema import UserError

COMMIT = "a" * 40
WEIGHTS = save({"w": np.zeros(30, np.float32)})
TOP = {"config.json": b"{}", "model.safetensors": WEIGHTS, "tokenizer.json": b"{}", "spiece.model": b"pieces"}
OTHERS = {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "onnx/config.json": b"{}", "README.md": b"words"}
SHARDS = {"weight_map": {"w": "model-1.safetensors", "v": "model-2.safetensors"}}


@pytest.fixture
def hub_with(hub_here: Any) -> Any:
    hub_here.add("model", "org/tiny", COMMIT, TOP | OTHERS)
    return hub_here


def build(out: Path, repo: str = "org/tiny", revision: str = COMMIT) -> dict[str, Any]:
    return hub.build(hub.Config(source="hub", repo=repo, revision=revision), BuildContext(out))


def test_downloads_weights_config_and_tokenizer(hub_with: Any, tmp_path: Path) -> None:
    out = tmp_path / "models" / "base"
    facts = build(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == TOP
    assert not any(path.is_symlink() for path in out.iterdir())
    digest = manifest.folder_digest(out)
    assert facts == {"name": "org/tiny", "revision": COMMIT, "sha256": digest, "bytes": len(WEIGHTS)}
    assert not any(name in path for path in hub_with.asked for name in OTHERS)


def test_the_cache_serves_without_a_network(hub_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    build(tmp_path / "first")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    the_hub.unreachable.cache_clear()
    hub_with.asked.clear()
    facts = build(tmp_path / "second")
    assert not hub_with.asked and facts["sha256"] == manifest.folder_digest(tmp_path / "first")


def test_another_build_replaces_the_last(hub_with: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model-00002.safetensors").write_text("from before")
    build(out)
    assert {path.name for path in out.iterdir()} == set(TOP)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"config.json": b"{}", "pytorch_model.bin": b"pickle"},
            "no .safetensors weights, and pickled ones can run code",
        ),
        ({"config.json": b"{}", "onnx/model.safetensors": WEIGHTS}, "no .safetensors weights"),
        ({"model.safetensors": WEIGHTS}, "no config.json"),
        (
            TOP | {"model.safetensors": b"version https://git-lfs.github.com/spec/v1"},
            "model.safetensors is missing or not whole",
        ),
        (TOP | {"model.safetensors": WEIGHTS[:-8]}, "model.safetensors is missing or not whole"),
        (
            {
                "config.json": b"{}",
                "model-1.safetensors": WEIGHTS,
                "model.safetensors.index.json": str(SHARDS).replace("'", '"').encode(),
            },
            "model-2.safetensors is missing",
        ),
    ],
)
def test_a_commit_that_cannot_be_loaded_safely_is_refused(
    hub_with: Any, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    hub_with.add("model", "org/tiny", "b" * 40, files)
    with pytest.raises(UserError) as caught:
        build(tmp_path / "models" / "base", revision="b" * 40)
    message = str(caught.value)
    assert said in message and message.startswith("params.yaml: model 'org/tiny' of the hub") and "\n" not in message
    assert not (tmp_path / "models").exists()


def test_what_cannot_be_placed_leaves_the_old_model(
    hub_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models" / "base"
    build(out)

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "link_or_copy", full)
    with pytest.raises(OSError, match="No space left"):
        build(out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == TOP and len(list(out.parent.iterdir())) == 1
