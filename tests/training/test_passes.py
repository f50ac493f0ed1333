"""A compiled training is the plain one but for rounding, and nothing else of a stage is compiled."""

from __future__ import annotations

import csv
import json
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from bench import methods
from bench.core import parameters, paths
from bench.core.blocks import ComputeConfig
from bench.core.schema import UserError
from bench.evaluation import preflight
from bench.lm import models
from bench.training import passes
from bench.training.context import TrainContext

OPTIM = {"learning_rate": 1e-2, "steps": 4, "batch_size": 4}
LORA = {"type": "LORA", "r": 2, "target_modules": ["q", "v"]}
SAMPLED = {"max_new_tokens": 8}
TRAININGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "full": ("sft", "data/train.jsonl", {"optim": OPTIM}),
    "lora": ("sft", "data/train.jsonl", {"optim": OPTIM, "adapter": LORA}),
    "dpo": ("dpo", "models/reward", {"optim": OPTIM, "pairs": SAMPLED | {"prompts": 10, "samples": 24, "margin": 0.0}}),
    "ppo": ("ppo", "models/reward", SAMPLED | {"iterations": 2, "batch_size": 8, "minibatch_size": 4, "epochs": 2}),
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What the compiler is told holds for the whole process."""
    yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call of a compiled block, by a compiler that leaves the operations as they are."""
    calls: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        def run(*given: Any) -> Any:
            calls.append(1)
            return graph.forward(*given)

        return run

    monkeypatch.setattr(passes, "BACKEND", backend)
    return calls


def trained(context: Callable[..., TrainContext], kind: str, name: str, **compute: Any) -> list[dict[str, float]]:
    """The curve of a training without dropout, whose random numbers are the compiler's own."""
    config = paths.model_path("base") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dropout_rate": 0.0}))
    method, teacher, settings = TRAININGS[kind]
    given, found = context(name, learns_from=teacher, **compute), methods.find(method)
    block = {"method": method, "init": "base", "learns_from": teacher, **settings}
    found.train(found.Config.model_validate(block), given)
    with paths.curve_path(name).open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("kind", TRAININGS)
def test_the_curve_and_the_weights_are_the_plain_ones(
    context: Callable[..., TrainContext], compiled: list[int], kind: str
) -> None:
    plain = trained(context, kind, "plain")
    assert not compiled
    found = trained(context, kind, "fused", compile=True)
    assert compiled
    for one, other in zip(plain, found, strict=True):
        for row in (one, other):
            if abs(row.get("margin", 1.0)) < 1e-6:  # DPO's start: what is ranked rightly there is rounding
                del row["accuracy"]
        assert one == pytest.approx(other, abs=1e-4)
    stored = [load_file(next(paths.model_path(name).glob("*.safetensors"))) for name in ("plain", "fused")]
    assert stored[0].keys() == stored[1].keys()
    for name, weight in stored[0].items():
        torch.testing.assert_close(weight, stored[1][name], atol=2e-4, rtol=1e-3)


@pytest.mark.skipif(
    shutil.which("g++") is None or not Path(sysconfig.get_path("include"), "Python.h").exists(),
    reason="torch compiles for a CPU with g++ and Python's headers, which are not there",
)
def test_torch_s_own_compiler_gives_the_same_curve(context: Callable[..., TrainContext]) -> None:
    plain, found = trained(context, "full", "plain"), trained(context, "full", "fused", compile=True)
    for one, other in zip(plain, found, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_what_is_written_and_measured_is_not_compiled(
    context: Callable[..., TrainContext], compiled: list[int]
) -> None:
    start = context("any", compile=True).start()
    batch = models.collate([[5, 6, 7]], [[8, 9]], int(start.tokenizer.pad_token_id), start.device)
    plain = models.target_logits(start.model, batch)
    assert not compiled
    with passes.for_training("cpu", compiled=True):
        fused = models.target_logits(start.model, batch)
    assert len(compiled) == sum(len(side.block) for side in (start.model.encoder, start.model.decoder))
    torch.testing.assert_close(fused, plain)
    compiled.clear()
    models.target_logits(start.model, batch)
    assert not compiled


@pytest.mark.parametrize("family", ["bart", "llama", "gpt2"])
def test_each_family_s_blocks_are_found(compiled: list[int], family: str) -> None:
    sizes = {"vocab_size": 20, "hidden_size": 8, "d_model": 8, "n_embd": 8, "pad_token_id": 0}
    depth = {"num_hidden_layers": 3, "encoder_layers": 1, "decoder_layers": 2}
    heads = {"num_attention_heads": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = AutoConfig.for_model(family, **sizes, **depth, **heads)
    model = AutoModel.from_config(config).eval()
    passes.compile_blocks(model)
    given = {"input_ids": torch.tensor([[5, 6, 7]])} | (
        {"decoder_input_ids": torch.tensor([[2, 3]])} if family == "bart" else {}
    )
    with torch.no_grad(), passes.for_training("cpu", compiled=True):
        model(**given)
    assert len(compiled) >= 3  # some layers of BART are two graphs


@pytest.mark.parametrize("kind", ["full", "ppo"])
def test_under_bfloat16_it_starts_where_the_plain_training_does(
    context: Callable[..., TrainContext], compiled: list[int], kind: str
) -> None:
    found = trained(context, kind, "fused", compile=True, precision="bfloat16")
    plain = trained(context, kind, "plain", precision="bfloat16")
    assert found[0]["loss"] == pytest.approx(plain[0]["loss"], abs=1e-2)  # eight bits of mantissa
    assert found[0].get("kl", 0.0) == 0.0


def test_a_machine_without_a_compiler_is_told_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters.Params.model_construct(compute=ComputeConfig(device="cpu", compile=True))
    monkeypatch.setattr(passes, "BACKEND", "aot_eager")
    preflight.check_compiler(params)

    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(passes, "BACKEND", broken)
    with pytest.raises(
        UserError,
        match=r"compute\.compile: .* for cpu here .*No working C\+\+ compiler found.*; install .*, or write false",
    ):
        preflight.check_compiler(params)
    preflight.check_compiler(parameters.Params.model_construct(compute=ComputeConfig(device="cpu")))
