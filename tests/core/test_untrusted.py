"""A folder of weights is checked before transformers reads it, wherever it comes from."""

import json

import pytest
import torch
from safetensors.torch import save_file

from bench.core import untrusted
from bench.core.schema import UserError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    save_file({"shared.weight": torch.zeros(2, 2)}, tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "source.spm"])
def test_each_form_of_a_vocabulary_is_a_tokenizer(folder, name):
    with pytest.raises(UserError, match=r"holds no tokenizer .* `tokenizer\.save_pretrained\(folder\)`"):
        untrusted.check_folder(folder)
    (folder / name).write_text("{}")
    untrusted.check_folder(folder)


@pytest.mark.parametrize("family, passes", [("ByT5Tokenizer", True), ("CanineTokenizer", True), ("T5Tokenizer", False)])
def test_tokens_that_are_bytes_need_no_vocabulary(folder, family, passes):
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": family}))
    if passes:
        untrusted.check_folder(folder)
    else:
        with pytest.raises(UserError, match="holds no tokenizer"):
            untrusted.check_folder(folder)


def test_an_adapter_has_the_tokenizer_of_its_start(folder):
    (folder / "config.json").rename(folder / "adapter_config.json")
    untrusted.check_folder(folder)


def test_the_message_calls_the_folder_as_it_is_asked_to(folder):
    with pytest.raises(UserError, match=r"^checkpoints\.base: 'here' holds no tokenizer"):
        untrusted.check_has_tokenizer(folder, "checkpoints.base: 'here'")
