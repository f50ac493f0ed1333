"""What several tests share: a tiny T5 with its tokenizer, made in a second, in a throw-away working folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

WORDS = (
    "summarize the following conversation summary : #person1# #person2# hello you are an idiot kind friend meets at noon "
    "in park and says that they will go home . , a b c d e f g h i j"
).split()


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder: paths of the project are relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_tokenizer(folder: Path) -> int:
    """Write a word-level tokenizer that ends every text with `</s>`; return its size."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(["<pad>", "</s>", "<unk>", *WORDS]))}
    tool = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tool.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tool.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tool, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    ).save_pretrained(folder)
    return len(vocabulary)


@pytest.fixture(scope="session")
def base_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random T5 with an untied head and dropout, so that forgetting eval mode shows; only to be read."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("base")
    size = save_tokenizer(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=2, dropout_rate=0.1,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reward_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT classifier over the same words, label 0 nothate, label 1 hate; only to be read."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("reward")
    size = save_tokenizer(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, pad_token_id=0,
        id2label={0: "nothate", 1: "hate"}, label2id={"nothate": 0, "hate": 1}, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_base(workdir: Path, base_template: Path) -> Path:
    """`models/base`: a copy of the random T5."""
    return Path(shutil.copytree(base_template, workdir / "models" / "base"))


@pytest.fixture
def tiny_reward(workdir: Path, reward_template: Path) -> Path:
    """`models/reward`: a copy of the random classifier."""
    return Path(shutil.copytree(reward_template, workdir / "models" / "reward"))
