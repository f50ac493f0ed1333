"""A start in 4 bits: the paper's code book, the same numbers however it is loaded, and no adapter merged into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.core import manifest, paths, plugins
from bench.core.blocks import QuantizeConfig
from bench.core.schema import UserError
from bench.lm import models, quantization
from bench.training.context import TrainContext
from tests.lm import families
from tests.methods.conftest import context as context  # a fixture

bitsandbytes = pytest.importorskip("bitsandbytes", reason="an extra: pip install bitsandbytes")

# Dettmers et al. 2023, appendix E: the values of the NF4 data type.
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
LORA: dict[str, Any] = {"type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}
SOURCES, TARGETS = [[10, 11, 12, 13, 1], [20, 21, 1]], [[30, 31, 1], [32, 33, 34, 1]]


@pytest.fixture
def wide_base(tiny_base: Path) -> Path:
    """`models/base` with rows of 64 weights, a whole block each."""
    from transformers import AutoConfig, T5ForConditionalGeneration

    config = AutoConfig.from_pretrained(tiny_base)
    config.d_model, config.d_kv, config.d_ff = 64, 32, 128
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.3)
    model.save_pretrained(tiny_base)
    return tiny_base


def logits(loaded: models.Loaded) -> torch.Tensor:
    batch = models.collate(SOURCES, TARGETS, 0, "cpu")
    with torch.no_grad():
        return models.target_logits(loaded.model, batch)[batch.labels != -100]


def rounded_layers(model: Any) -> int:
    return sum(isinstance(module, bitsandbytes.nn.Linear4bit) for module in model.modules())


def test_each_weight_is_a_value_of_the_paper_times_its_block_s_largest(wide_base: Path) -> None:
    before, after = (models.load("base", "cpu").model for _ in range(2))
    quantization.round_weights(after, QuantizeConfig(type="nf4"))
    for name in ("encoder.block.0.layer.0.SelfAttention.q", "decoder.block.0.layer.2.DenseReluDense.wi"):
        own, rounded = before.get_submodule(name).weight.flatten(), after.get_submodule(name).weight.flatten()
        assert not torch.equal(own, rounded)
        for block, kept in zip(own.split(64), rounded.split(64), strict=True):
            nearest = torch.tensor(NF4)[((block / block.abs().max())[:, None] - torch.tensor(NF4)).abs().argmin(1)]
            assert torch.allclose(kept, nearest * block.abs().max(), atol=1e-6)
    assert torch.equal(before.lm_head.weight, after.lm_head.weight)


@pytest.mark.parametrize("config", [QuantizeConfig(), QuantizeConfig(double=True), QuantizeConfig(type="fp4")])
def test_rounded_weights_compute_what_they_are_written_out_as(wide_base: Path, config: QuantizeConfig) -> None:
    start = models.load("base", "cpu")
    packed = models.quantized(models.load("base", "cpu"), config)
    written = models.load("base", "cpu")
    quantization.round_weights(written.model, config)
    assert rounded_layers(packed.model) > 5
    assert torch.allclose(logits(packed), logits(written), atol=1e-5)
    assert not torch.allclose(logits(packed), logits(start), atol=1e-3)
    assert models.count_parameters(packed.model)[1] == models.count_parameters(start.model)[1]


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_saved_loaded_stacked_and_merged(workdir: Path, family: str) -> None:
    target = LORA if family == "t5" else LORA | {"target_modules": ["q_proj", "v_proj"]}
    if family == "t5":
        families.seq2seq("t5", paths.model_path("base"), d_model=64)
    else:
        families.decoder("llama", paths.model_path("base"), hidden_size=64)
    loaded = models.with_adapter(models.quantized(models.load("base", "cpu"), QuantizeConfig()), target)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    models.save(loaded, "first", "sft", {})
    assert manifest.read_manifest("first")["quantize"] == {"type": "nf4", "double": False}
    found = models.load("first", "cpu")
    assert rounded_layers(found.model) and torch.equal(logits(found), logits(loaded))
    whole = models.merged(models.load("first", "cpu"))
    assert not rounded_layers(whole.model) and torch.allclose(logits(whole), logits(loaded), atol=1e-4)
    second = models.with_adapter(models.load("first", "cpu"), target)
    assert torch.allclose(logits(second), logits(loaded), atol=1e-4)
    models.save(second, "second", "sft", {})
    assert torch.allclose(logits(models.load("second", "cpu")), logits(loaded), atol=1e-4)


METHODS: dict[str, dict[str, Any]] = {
    "sft": {"optim": {"learning_rate": 1e-2, "batch_size": 4, "steps": 3}},
    "dpo": {
        "optim": {"learning_rate": 1e-2, "batch_size": 4, "steps": 3},
        "pairs": {"prompts": 10, "samples": 48, "margin": 0.0, "max_new_tokens": 24},
    },
    "ppo": {"iterations": 2, "batch_size": 4, "minibatch_size": 4, "max_new_tokens": 8, "learning_rate": 1e-2},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_an_adapter_on_it(
    context: Callable[..., TrainContext], wide_base: Path, method: str
) -> None:
    import dataclasses

    module, teacher = plugins.find("method", method), "data/train.jsonl" if method == "sft" else "models/reward"
    block = METHODS[method] | {"adapter": LORA, "quantize": QuantizeConfig()}
    made = dataclasses.replace(context("small", learns_from=teacher), quantize=QuantizeConfig())
    record = module.train(module.Config(method=method, init="base", learns_from=teacher, **block), made)
    assert record["kind"] == "adapter" and record["quantize"]["type"] == "nf4"
    assert record["total_parameters"] > models.count_parameters(models.load("base", "cpu").model)[1]
    assert rounded_layers(models.load("small", "cpu").model)
    start = logits(models.quantized(models.load("base", "cpu"), QuantizeConfig()))
    assert not torch.allclose(logits(models.load("small", "cpu")), start, atol=1e-5)
    if method == "dpo":  # the reference is the rounded start: nothing was preferred before the first step
        assert record["facts"]["last_step"] == 3
    if method == "ppo":
        curve = (paths.curve_path("small")).read_text().splitlines()
        first = dict(zip(curve[0].split(","), curve[1].split(","), strict=True))
        assert abs(float(first["kl"])) < 1e-4


def test_rows_of_no_whole_blocks_stay_as_they_are(wide_base: Path) -> None:
    """The package gives such weights back wrong on a CPU."""
    layer = torch.nn.Linear(48, 8)
    model = models.load("base", "cpu").model
    model.encoder.odd = layer
    quantization.quantize(model, QuantizeConfig())
    assert model.encoder.odd is layer and rounded_layers(model) > 5


def test_a_model_without_such_rows_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UserError, match="'quantize': no linear layer of this model has rows of whole blocks of 64"):
        models.quantized(models.load("base", "cpu"), QuantizeConfig())


def test_without_the_package_it_is_said(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(UserError, match="'quantize' needs bitsandbytes; run `pip install bitsandbytes`"):
        models.quantized(models.load("base", "cpu"), QuantizeConfig())
