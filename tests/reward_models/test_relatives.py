"""Starts, adapters and files beside those of the other tests: BART, GPT-2, IA3 and DoRA; Parquet and TSV."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from bench.classifiers import loading
from bench.core import plugins
from bench.core.schema import UserError
from bench.rankings import preferences
from bench.training.context import TrainContext
from tests.conftest import save_tokenizer
from tests.reward_models.test_forms import given as given
from tests.reward_models.test_forms import trained

Make = Callable[..., TrainContext]
IA3 = {"type": "IA3", "target_modules": ["k", "v", "wo"], "feedforward_modules": ["wo"]}
DORA = {"type": "LORA", "r": 2, "use_dora": True, "target_modules": ["q", "v"]}
PAIRS = [("#person1# hello you", "hello friend"), ("hello", "an idiot idiot idiot idiot")]


def read_again(model: Any) -> None:
    """The stored model says what the trained one said, of two texts of different length together."""
    found = loading.load("rm", "cpu").pair_logits(PAIRS)[:, 0]
    assert found == pytest.approx(model.score(PAIRS, "rm").numpy(), abs=1e-5)


@pytest.mark.parametrize("form", ["head", "log_ratio"])
@pytest.mark.parametrize("adapter", [IA3, DORA], ids=["ia3", "dora"])
def test_other_adapters_learn_and_are_stored(given: Make, form: str, adapter: dict[str, Any]) -> None:
    model, about = trained(given("rm"), form, adapter=adapter)
    assert about["tests"]["good"]["rows"][0]["accuracy"]["value"] > 0.5
    read_again(model)


@pytest.mark.parametrize("form", ["head", "log_ratio"])
def test_bart_is_a_start(given: Make, tiny_base: Path, form: str) -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    shutil.rmtree(tiny_base)
    size = save_tokenizer(tiny_base)
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=size, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=600,
        pad_token_id=0, eos_token_id=1, bos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=None, init_std=0.3,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(tiny_base)
    model, about = trained(given("rm"), form)
    assert about["tests"]["good"]["rows"][0]["accuracy"]["value"] > 0.5
    read_again(model)


@pytest.mark.parametrize("form", ["head", "log_ratio", "classifier"])
def test_gpt2_is_a_start(given: Make, tiny_base: Path, decoder_templates: dict[str, Path], form: str) -> None:
    shutil.rmtree(tiny_base)
    shutil.copytree(decoder_templates["gpt2"], tiny_base)
    model, about = trained(given("rm"), form)
    assert about["tests"]["good"]["rows"][0]["pairs"] == 24
    read_again(model)


def test_an_encoder_whose_positions_begin_behind_the_padding_reads_no_further_than_it_can(
    given: Make, tiny_base: Path
) -> None:
    """RoBERTa has two positions fewer than its config says, and many a tokenizer states no limit."""
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    shutil.rmtree(tiny_base)
    size = save_tokenizer(tiny_base)
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(tiny_base)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=34, pad_token_id=1, type_vocab_size=1,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(tiny_base)
    model, _ = trained(given("rm"), "classifier")
    assert model.longest == 32
    long = [(" ".join(["hello you"] * 60), "an idiot"), (" ".join(["hello you"] * 60), "kind friend")]
    found = loading.load("rm", "cpu").pair_logits(long)[:, 0]
    assert found == pytest.approx(model.score(long, "rm").numpy(), abs=1e-5) and found[0] != found[1]


@pytest.mark.parametrize("ending", ["parquet", "tsv", "json"])
def test_judgements_in_other_files(given: Make, ending: str) -> None:
    rows = pd.DataFrame({"source": ["hello", "you"], "chosen": ["kind", "friend"], "rejected": ["idiot", "a"]})
    path = Path(f"p.{ending}")
    write = {
        "parquet": rows.to_parquet,
        "tsv": lambda at: rows.to_csv(at, sep="\t", index=False),
        "json": lambda at: rows.to_json(at, orient="records"),
    }
    write[ending](path)
    source = plugins.find("preferences source", "files")
    context = dataclasses.replace(given("p"), learns_from=str(path), part="preferences")
    found = source.rankings(source.Config(source="files", init="base", learns_from=str(path)), context)
    assert [(p.chosen, p.rejected) for p in preferences(found)] == [("kind", "idiot"), ("friend", "a")]


def test_a_tokenizer_of_another_model_is_no_start(given: Make) -> None:
    """As every other loader refuses it: one with more words than the model has rows for."""
    from transformers import AutoTokenizer

    tool = AutoTokenizer.from_pretrained("models/reward")
    tool.add_tokens([f"word{k}" for k in range(200)])
    tool.save_pretrained("models/reward")
    with pytest.raises(UserError, match="models/reward"):
        trained(given("rm", "reward"), "classifier")
