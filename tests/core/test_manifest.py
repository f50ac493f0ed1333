"""What identifies a model: everything that it is loaded from, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bench.core import manifest


@pytest.fixture
def folder(workdir: Path) -> Path:
    path = workdir / "models" / "judge"
    path.mkdir(parents=True)
    save_file({"w": np.ones(2, np.float32)}, path / "model.safetensors")
    config = {"model_type": "bert", "id2label": {"0": "nothate", "1": "hate"}, "transformers_version": "5.1"}
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    (path / "vocab.txt").write_text("a\nb\n")
    (path / "chat_template.jinja").write_text("{{ messages }}")
    return path


def edit(name: str, **changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))

    return change


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


MOVES = {
    "weights": lambda folder: save_file({"w": np.full(2, 2, np.float32)}, folder / "model.safetensors"),
    "labels": edit("config.json", id2label={"0": "hate", "1": "nothate"}),
    "another activation": edit("config.json", hidden_act="relu"),
    "tokenizer": edit("tokenizer.json", model={"vocab": {"b": 0}}),
    "a tokenizer's setting": edit("tokenizer_config.json", model_max_length=8),
    "word pieces": write("vocab.txt", "b\na\n"),
    "chat template": write("chat_template.jinja", "{{ messages }}!"),
    "an adapter's scale": edit("adapter_config.json", lora_alpha=32),
}
STAYS = {
    "the library that wrote it": edit("config.json", transformers_version="5.17", _name_or_path="/tmp/x"),
    "layout": lambda folder: (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()), indent=4)
    ),
    "a readme": write("README.md", "# read me"),
    "what this benchmark notes": edit("facts.json", bytes=1),
    "code, which is never run": write("modeling.py", "import os"),
}


@pytest.mark.parametrize("what", MOVES)
def test_everything_a_model_is_loaded_from_moves_its_digest(folder: Path, what: str) -> None:
    before = manifest.digest("judge")
    MOVES[what](folder)
    assert manifest.digest("judge") != before


@pytest.mark.parametrize("what", STAYS)
def test_nothing_else_does(folder: Path, what: str) -> None:
    before = manifest.digest("judge")
    STAYS[what](folder)
    assert manifest.digest("judge") == before


def test_an_adapter_has_its_parent_s_identity_in_its_own(folder: Path) -> None:
    adapter = folder.parent / "lora"
    adapter.mkdir()
    save_file({"a": np.ones(2, np.float32)}, adapter / "adapter_model.safetensors")
    edit("manifest.json", kind="adapter", parent="judge", parent_digest="x")(adapter)
    edit("manifest.json", kind="alias", parent="lora")((folder.parent / "alias").mkdir() or folder.parent / "alias")
    before = manifest.digest("lora")
    assert manifest.digest("alias") == before
    edit("config.json", id2label={"0": "a"})(folder)
    assert manifest.digest("lora") != before
