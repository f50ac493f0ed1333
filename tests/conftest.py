"""What several tests share: a throw-away working folder, tiny models with their tokenizers."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.hub_server import hub_gone as hub_gone  # fixtures of every test
from tests.hub_server import hub_here as hub_here

WORDS = (
    "summarize the following conversation summary : #person1# #person2# hello you are an idiot kind friend meets at noon "
    "in park and says that they will go home . , a b c d e f g h i j"
).split()


LONG = ("test_dvc_repro", "test_kill", "test_distributed", "test_seed_variance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer another order of the tests: none may live on what another left."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests of each file in an order of this seed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last: counts what the other tests of its file did")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start the files that take minutes first, so that no worker is left with one at the end."""
    if (seed := config.getoption("--shuffle")) is not None:
        random.Random(seed).shuffle(items)
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    items.sort(key=lambda item: next((i for i, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


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
        vocab_size=size,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        dropout_rate=0.1,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
    model.save_pretrained(folder)
    return folder


CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_chat_tokenizer(folder: Path, **extra: str) -> int:
    """Write a byte-level tokenizer that begins every text with `<s>` and knows a chat template; return its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tool = Tokenizer(models.BPE())
    tool.pre_tokenizer, tool.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tool.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tool.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tool,
        bos_token="<s>",
        eos_token="<|im_end|>",
        extra_special_tokens=["<|im_start|>"],
        chat_template=CHAT,
        model_max_length=512,
        **extra,
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


@pytest.fixture(scope="session")
def decoder_templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random decoder-only models with rotary and with learnt positions, `llama` and `gpt2`; only to be read."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    folders = {}
    for name in ("llama", "gpt2"):
        folders[name] = tmp_path_factory.mktemp(name)
        size = save_chat_tokenizer(folders[name])
        torch.manual_seed(0)
        config = (
            LlamaConfig(
                vocab_size=size,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=512,
                initializer_range=0.3,
                tie_word_embeddings=True,
            )
            if name == "llama"
            else GPT2Config(vocab_size=size, n_embd=16, n_layer=2, n_head=2, n_positions=512, initializer_range=0.3)
        )
        AutoModelForCausalLM.from_config(config).save_pretrained(folders[name])
    return folders


@pytest.fixture(params=["llama", "gpt2"])
def tiny_decoder(workdir: Path, decoder_templates: dict[str, Path], request: pytest.FixtureRequest) -> Path:
    """`models/base`: a copy of a random decoder-only model."""
    return Path(shutil.copytree(decoder_templates[request.param], workdir / "models" / "base"))


@pytest.fixture(scope="session")
def reward_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT classifier over the same words, label 0 nothate, label 1 hate; only to be read."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("reward")
    size = save_tokenizer(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=0,
        id2label={0: "nothate", 1: "hate"},
        label2id={"nothate": 0, "hate": 1},
        initializer_range=0.5,
    )
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
