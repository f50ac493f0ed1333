"""Every method trains the tiny encoder-decoder through its real code."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import Seq2SeqTrainingArguments

from bench.core import manifest, paths, plugins, storage
from bench.core.schema import UserError
from bench.lm import models
from bench.training import preferences, trainer
from bench.training.context import TrainContext
from bench.training.rollouts import Sampler

OPTIM = {"learning_rate": 1e-2, "batch_size": 4, "steps": 3}
LORA = {"type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}
PAIRS = {"prompts": 10, "samples": 24, "margin": 0.0, "max_new_tokens": 8}
Make = Callable[..., TrainContext]


def train(context: TrainContext, method: str, **block: Any) -> dict[str, Any]:
    module = plugins.find("method", method)
    config = module.Config(method=method, init=context.init, learns_from=context.learns_from, **block)
    return module.train(config, context)


def weights(name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in models.merged(models.load(name, "cpu")).model.state_dict().items()}


def differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {key for key in one if not torch.equal(one[key], other[key])}


def test_none_is_the_base_itself(context: Make) -> None:
    record = train(context("baseline"), "none")
    assert record["total_parameters"] == models.count_parameters(models.load("base", "cpu").model)[1]
    assert not differ(weights("baseline"), weights("base"))
    assert manifest.digest("baseline") == manifest.digest("base")


def test_full_fine_tuning_moves_every_matrix_and_keeps_the_head_untied(context: Make) -> None:
    record = train(context("full"), "sft", optim=OPTIM)
    after = weights("full")
    moved = differ(weights("base"), after)
    assert {"shared.weight", "lm_head.weight"} <= moved
    assert not torch.equal(after["shared.weight"], after["lm_head.weight"])
    assert storage.read_json(paths.model_path("full") / "config.json")["tie_word_embeddings"] is False
    assert record["trainable_parameters"] == record["total_parameters"]


def test_an_adapter_moves_only_what_it_targets(context: Make) -> None:
    record = train(context("lora"), "sft", optim=OPTIM, adapter=LORA)
    moved = differ(weights("base"), weights("lora"))
    assert moved and all(".q." in key or ".v." in key for key in moved)
    # r x (in + out) for each of the 3 attention blocks' q and v: 2 x (16 + 16) x 6
    assert record["trainable_parameters"] == 2 * (16 + 16) * 6
    assert record["kind"] == "adapter" and record["parent"] == "base"


def test_any_peft_config_serves(context: Make) -> None:
    ia3 = {"type": "IA3", "target_modules": ["k", "v", "wo"], "feedforward_modules": ["wo"]}
    assert train(context("ia3"), "sft", optim=OPTIM, adapter=ia3)["kind"] == "adapter"
    with pytest.raises(UserError, match="adapter.type"):
        train(context("odd"), "sft", optim=OPTIM, adapter={"type": "LOAR"})
    with pytest.raises(UserError, match="refuses"):
        train(context("odd"), "sft", optim=OPTIM, adapter=LORA | {"rank": 3})


def test_adalora_shares_out_its_ranks(context: Make) -> None:
    """At the end as many singular values are left as the target says, two a module, and the others are 0."""
    steps = 12
    block = {"type": "ADALORA", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 2, "deltaT": 1, "total_step": steps}
    optim = OPTIM | {"steps": steps}
    train(context("ranks"), "sft", optim=optim, adapter=block | {"target_modules": ["q", "v"]})
    model = models.load("ranks", "cpu").model
    left = {key: int((value != 0).sum()) for key, value in model.named_parameters() if "lora_E" in key}
    assert len(left) == 6 and sum(left.values()) == 2 * 6 and max(left.values()) <= 4
    with pytest.raises(UserError, match="write 3"):
        train(context("odd"), "sft", optim=OPTIM, adapter=block | {"target_modules": ["q", "v"]})


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING"])
def test_a_prompt_learner_is_trained_loaded_and_trained_on(context: Make, kind: str) -> None:
    block = {"type": kind, "num_virtual_tokens": 3}
    train(context("first"), "sft", optim=OPTIM, adapter=block)
    before = {k: v.clone() for k, v in models.load("first", "cpu").model.named_parameters() if v.requires_grad}
    train(context("second", init="first"), "sft", optim=OPTIM)
    after = dict(models.load("second", "cpu").model.named_parameters())
    assert before and all(not torch.equal(before[key], after[key]) for key in before)


def test_training_is_reproducible_and_follows_the_seed(context: Make) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        train(context(name, seed=seed), "sft", optim=OPTIM)
    assert not differ(weights("one"), weights("two"))
    assert differ(weights("one"), weights("other"))


def test_an_adapter_is_refused_on_other_weights(context: Make) -> None:
    train(context("lora"), "sft", optim=OPTIM, adapter=LORA)
    train(context("full"), "sft", optim=OPTIM)
    models.load("lora", "cpu")
    base, full = paths.model_path("base"), paths.model_path("full")
    (base / "model.safetensors").write_bytes((full / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="other weights"):
        models.load("lora", "cpu")


@pytest.mark.parametrize("adapter", [None, LORA])
def test_ppo_starts_at_its_reference(context: Make, adapter: dict[str, Any] | None) -> None:
    ctx = context("ppo", learns_from="models/reward")
    record = train(ctx, "ppo", iterations=2, batch_size=8, minibatch_size=4, max_new_tokens=8, adapter=adapter)
    header, first, *_ = paths.curve_path("ppo").read_text().splitlines()
    row = dict(zip(header.split(","), map(float, first.split(",")), strict=True))
    assert row["kl"] == 0.0
    assert all(math.isfinite(value) for value in row.values())
    moved = differ(weights("base"), weights("ppo"))
    assert moved and (adapter is None or all(".q." in key or ".v." in key for key in moved))
    assert record["kind"] == ("full" if adapter is None else "adapter")


def test_ppo_from_an_adapter_carries_it_on_against_a_frozen_copy(context: Make) -> None:
    train(context("lora"), "sft", optim=OPTIM, adapter=LORA)
    ctx = context("ppo", init="lora", learns_from="models/reward")
    record = train(ctx, "ppo", iterations=2, batch_size=8, minibatch_size=8, max_new_tokens=8)
    assert (record["kind"], record["parent"]) == ("adapter", "base")
    rows = paths.curve_path("ppo").read_text().splitlines()
    column = rows[0].split(",").index("kl")
    assert float(rows[1].split(",")[column]) == 0.0
    assert differ(weights("lora"), weights("ppo"))


def test_ppo_raises_the_reward(context: Make) -> None:
    ctx = context("ppo", learns_from="models/reward")
    train(
        ctx,
        "ppo",
        iterations=25,
        batch_size=32,
        minibatch_size=32,
        learning_rate=5e-3,
        kl_coefficient=0.0,
        max_new_tokens=6,
    )
    rows = paths.curve_path("ppo").read_text().splitlines()
    column = rows[0].split(",").index("reward")
    reward = [float(row.split(",")[column]) for row in rows[1:]]
    assert sum(reward[-5:]) > sum(reward[:5])


@pytest.mark.parametrize("kind", ["sigmoid", "length_normalised", "ipo", "simpo", "orpo", "kto"])
def test_every_loss_of_pairs_comes_to_prefer_the_chosen(context: Make, kind: str) -> None:
    from bench.methods.dpo import trainer as dpo
    from bench.training import preferences

    ctx = context(kind, learns_from="models/reward")
    record = train(ctx, "dpo", optim=OPTIM | {"steps": 15}, pairs=PAIRS, beta=0.5, loss=kind)
    assert record["facts"]["pairs"] > 0
    pairs = storage.read_rows(ctx.out / "pairs.jsonl", preferences.Pair)
    assert all(pair.chosen_reward > pair.rejected_reward for pair in pairs)

    def margin(name: str) -> float:
        rows = dpo.preference_rows(models.load(name, "cpu"), pairs, ctx.text, 4, ctx.compute)
        return sum(row["reference"][0] - row["reference"][1] for row in rows)

    assert margin(kind) > margin("base")


def test_dpo_starts_at_log_two(context: Make) -> None:
    train(context("dpo", learns_from="models/reward"), "dpo", optim=OPTIM | {"steps": 1}, pairs=PAIRS, beta=0.5)
    header, first = paths.curve_path("dpo").read_text().splitlines()
    assert float(first.split(",")[header.split(",").index("loss")]) == pytest.approx(math.log(2), abs=1e-4)


def test_no_pairs_is_said(context: Make) -> None:
    with pytest.raises(UserError, match="pairs.margin"):
        train(context("dpo", learns_from="models/reward"), "dpo", optim=OPTIM, pairs=PAIRS | {"margin": 1e6})


@pytest.fixture
def another_precision() -> Iterator[None]:
    """Accelerate holds one precision for a whole process; a stage is a process, a test is not."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_bfloat16_starts_where_the_start_is(context: Make, another_precision: None) -> None:
    """Policy and reference run in one precision: KL is 0 and DPO's loss log 2 before the first step."""
    ctx = context("ppo", learns_from="models/reward", precision="bfloat16")
    train(ctx, "ppo", iterations=1, batch_size=8, minibatch_size=8, max_new_tokens=8)
    names, first = (line.split(",") for line in paths.curve_path("ppo").read_text().splitlines())
    assert float(first[names.index("kl")]) == 0.0
    ctx = context("dpo", learns_from="models/reward", precision="bfloat16")
    train(ctx, "dpo", optim=OPTIM, pairs=PAIRS)
    names, first, *_ = (line.split(",") for line in paths.curve_path("dpo").read_text().splitlines())
    assert float(first[names.index("loss")]) == pytest.approx(math.log(2), abs=2e-3)
    assert {value.dtype for value in weights("dpo").values()} == {torch.float32}


def test_prompts_and_pairs_can_be_those_of_a_tag(context: Make, tiny_reward: Any) -> None:
    given = context("ppo", learns_from="models/reward")
    few = [example.model_copy(update={"tags": ("heated",)} if i < 4 else {}) for i, example in enumerate(given.train)]
    given = dataclasses.replace(given, train=few, validation=few)
    assert [example.id for example in given.tagged("train", "heated")] == ["e0", "e1", "e2", "e3"]
    seen = set[str]()
    block = {"iterations": 2, "batch_size": 4, "minibatch_size": 2, "max_new_tokens": 4, "tag": "heated"}
    original = Sampler.sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Sampler,
            "sample",
            lambda self, examples, step: seen.update(e.id for e in examples) or original(self, examples, step),
        )
        train(given, "ppo", **block)
    assert seen == {"e0", "e1", "e2", "e3"}
    record = train(given, "dpo", optim=OPTIM, pairs=PAIRS | {"tag": "heated"})
    pairs = storage.read_rows(paths.model_path("ppo") / "pairs.jsonl", preferences.Pair)
    assert record["facts"]["pairs"] == len(pairs) and {pair.id for pair in pairs} <= seen
    with pytest.raises(UserError, match=r"variants\.ppo: no dialogue of data/train\.jsonl has the tag 'hot'.*: heated"):
        train(given, "ppo", **block | {"tag": "hot"})


def test_a_machine_with_several_gpus_does_not_multiply_the_batch(tmp_path: Path) -> None:
    settings = Seq2SeqTrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=16, use_cpu=True)
    settings._n_gpu = 8
    assert settings.train_batch_size == 128
    assert trainer.one_gpu(settings).train_batch_size == 16
