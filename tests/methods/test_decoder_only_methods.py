"""Every method trains a tiny decoder-only model through its real code; a whole study runs on one."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from transformers import BertConfig, BertForSequenceClassification

from bench.core import paths, plugins, storage
from bench.core.blocks import TextConfig
from bench.core.schema import UserError
from bench.lm import models, prompts
from bench.methods.dpo import by_trl
from bench.training import preferences, trainer
from bench.training.context import TrainContext
from tests.conftest import save_chat_tokenizer
from tests.project import tiny

OPTIM = {"learning_rate": 1e-2, "batch_size": 4, "steps": 3}
LORA = {"type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": "all-linear"}
PAIRS = {"prompts": 10, "samples": 16, "margin": 0.0, "max_new_tokens": 12}
Make = Callable[..., TrainContext]


@pytest.fixture
def tiny_base(tiny_decoder: Path) -> Path:
    """What `context` starts from; its end of a summary is likely enough for pairs to be found."""
    loaded = models.load("base", "cpu")
    loaded.model.get_output_embeddings().weight.data[2] *= 3
    shutil.rmtree(tiny_decoder)
    loaded.model.save_pretrained(tiny_decoder)
    loaded.tokenizer.save_pretrained(tiny_decoder)
    return tiny_decoder


@pytest.fixture
def tiny_reward(workdir: Path) -> Path:
    """A random classifier that reads bytes, for that is what a random model writes."""
    folder = workdir / "models" / "reward"
    size = save_chat_tokenizer(folder, pad_token="<|im_end|>")
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "nothate", 1: "hate"},
        label2id={"nothate": 0, "hate": 1},
        initializer_range=0.5,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def train(context: TrainContext, method: str, **block: Any) -> dict[str, Any]:
    module = plugins.find("method", method)
    config = module.Config(method=method, init=context.init, learns_from=context.learns_from, **block)
    return module.train(config, context)


def curve(name: str, column: str) -> list[float]:
    rows = [line.split(",") for line in paths.curve_path(name).read_text().splitlines()]
    return [float(row[rows[0].index(column)]) for row in rows[1:]]


def moved(one: str, other: str) -> set[str]:
    states = [models.merged(models.load(name, "cpu")).model.state_dict() for name in (one, other)]
    return {key for key in states[0] if not torch.equal(states[0][key], states[1][key])}


@pytest.mark.parametrize("adapter", [None, LORA])
def test_supervised_training_lowers_the_loss_and_is_stored(context: Make, adapter: dict[str, Any] | None) -> None:
    record = train(context("tuned"), "sft", optim=OPTIM | {"steps": 12}, adapter=adapter)
    losses = curve("tuned", "loss")
    assert losses[-1] < losses[0] and moved("base", "tuned")
    assert record["kind"] == ("full" if adapter is None else "adapter")


def test_ppo_starts_at_its_start_whole_fresh_or_carried_on(context: Make) -> None:
    train(context("lora"), "sft", optim=OPTIM, adapter=LORA)
    for name, init, adapter in (("whole", "base", None), ("fresh", "base", LORA), ("carried", "lora", None)):
        ctx = context(name, init=init, learns_from="models/reward")
        train(ctx, "ppo", iterations=2, batch_size=8, minibatch_size=4, max_new_tokens=8, adapter=adapter)
        assert curve(name, "kl")[0] == 0.0
        assert all(math.isfinite(value) for value in curve(name, "loss")) and moved(init, name)


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_groups_of_samples_move_it_from_its_start(context: Make, method: str) -> None:
    block = {"iterations": 2, "batch_size": 8, "minibatch_size": 4, "group_size": 4, "max_new_tokens": 8}
    train(context(method, learns_from="models/reward"), method, **block)
    assert abs(curve(method, "kl")[0]) < 1e-5 and moved("base", method)


def test_rejection_learns_from_its_best_samples(context: Make) -> None:
    samples = {"prompts": 10, "samples": 16, "max_new_tokens": 12}
    record = train(context("best", learns_from="models/reward"), "rejection", samples=samples, optim=OPTIM)
    assert record["facts"]["best_reward"] > record["facts"]["mean_reward"] and moved("base", "best")


def test_dpo_starts_at_log_two_and_then_prefers_the_chosen(context: Make) -> None:
    ctx = context("dpo", learns_from="models/reward")
    train(ctx, "dpo", optim=OPTIM | {"steps": 15}, pairs=PAIRS, beta=0.5)
    assert curve("dpo", "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    assert sum(curve("dpo", "margin")[-3:]) > 0


BY_TRL: dict[str, Any] = {"pairs": PAIRS, "engine": "trl", "beta": 0.5}


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch, tiny_base: Path) -> list[preferences.Pair]:
    """Five pairs of words, for trl reads texts: what a random model writes is not how its tokenizer would write it."""
    tool, found = models.load("base", "cpu").tokenizer, []
    for k, (good, bad) in enumerate(zip(("kind", "hello", "meets", "home", "park"), "abcde", strict=True)):
        ids = [
            tuple(prompts.encode_target(tool, text, TextConfig()))
            for text in (f"{good} friend", f"you {bad} idiot {bad}")
        ]
        texts = {"chosen": f"{good} friend", "rejected": f"you {bad} idiot {bad}"}
        found.append(
            preferences.Pair(
                id=str(k), source=f"{bad} hello", chosen_ids=ids[0], rejected_ids=ids[1], chosen_reward=1.0,
                rejected_reward=0.0, **texts,
            )
        )  # fmt: skip
    monkeypatch.setattr(preferences, "sample", lambda *_: found)
    return found


@pytest.mark.parametrize("kind", ["sigmoid", "ipo", "length_normalised"])
def test_trl_s_trainer_takes_the_same_steps(context: Make, pairs: list[preferences.Pair], kind: str) -> None:
    """All pairs in one batch, so that their order does not matter: the same losses, step by step."""
    optim = {"learning_rate": 1e-3, "batch_size": len(pairs), "steps": 4}
    for name, engine in (("ours", "ours"), ("theirs", "trl")):
        # trl tokenises prompt and summary as one text: a line's end keeps the first word of the summary by itself.
        text = TextConfig(prompt="{source}\nSummary:\n")
        ctx = dataclasses.replace(context(name, learns_from="models/reward"), text=text)
        train(ctx, "dpo", optim=optim, **BY_TRL | {"engine": engine, "loss": kind})
    assert curve("theirs", "loss") == pytest.approx(curve("ours", "loss"), abs=2e-4)
    assert curve("theirs", "accuracy") == curve("ours", "accuracy")
    assert curve("ours", "loss")[-1] < curve("ours", "loss")[0]


def test_trl_s_trainer_ends_on_a_loss_that_is_not_finite(
    context: Make, pairs: list[preferences.Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import DPOTrainer

    real = DPOTrainer.compute_loss
    monkeypatch.setattr(DPOTrainer, "compute_loss", lambda self, *a, **k: real(self, *a, **k) * float("nan"))
    with pytest.raises(UserError, match=r"variants\.dpo: the loss became nan at step 1; "):
        train(context("dpo", learns_from="models/reward"), "dpo", optim=OPTIM, **BY_TRL)
    assert not paths.model_path("dpo").exists()


def test_what_trl_cannot_do_is_said(context: Make, pairs: list[preferences.Pair]) -> None:
    for change, said in (
        ({"loss": "orpo"}, "trl keeps no trainer with loss 'orpo'; write engine: ours"),
        ({"keep_every": 2}, "'keep_every' is not trl's to do"),
    ):
        with pytest.raises(ValueError, match=said):
            train(context("dpo", learns_from="models/reward"), "dpo", optim=OPTIM, **BY_TRL | change)
    asked = dataclasses.replace(context("dpo", learns_from="models/reward"), text=TextConfig(chat=True))
    with pytest.raises(UserError, match=r"variants\.dpo\.engine: trl is given plain prompts without shots"):
        train(asked, "dpo", optim=OPTIM, **BY_TRL)


def test_trl_s_kto_trainer_trains(context: Make, pairs: list[preferences.Pair]) -> None:
    """Its KL is of other summaries than ours, so that the same steps are not asked of it; at the start both are 1/2 a summary."""
    optim = {"learning_rate": 1e-2, "batch_size": len(pairs), "steps": 6}
    text = TextConfig(prompt="{source}\nSummary:\n")
    ctx = dataclasses.replace(context("theirs", learns_from="models/reward"), text=text)
    train(ctx, "dpo", optim=optim, **BY_TRL | {"loss": "kto"})
    losses = curve("theirs", "loss")
    assert losses[0] == pytest.approx(0.5, abs=1e-4) and losses[-1] < losses[0] and moved("base", "theirs")


def test_trl_s_sft_takes_the_same_steps(context: Make, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All examples in every batch, no dropout: the same losses, in a chat as well, for the tokens are ours."""
    path = tiny_base / "config.json"
    still = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    path.write_text(json.dumps(json.loads(path.read_text()) | still))
    monkeypatch.setattr(trainer, "batch_order", lambda lengths, size, steps, seed: list(range(size)) * steps)
    for chat in (False, True):
        text = TextConfig(prompt="{source}\nSummary:\n", chat=chat, max_target_tokens=12)
        for name, engine in (("ours", "ours"), ("theirs", "trl")):
            ctx = dataclasses.replace(context(f"{name}-{chat}"), text=text)
            optim = {"learning_rate": 1e-3, "batch_size": len(ctx.train), "steps": 4}
            train(ctx, "sft", optim=optim, engine=engine)
        ours = curve(f"ours-{chat}", "loss")
        assert curve(f"theirs-{chat}", "loss") == pytest.approx(ours, abs=2e-4) and ours[-1] < ours[0]


@pytest.mark.parametrize("method", ["grpo", "rloo"])
def test_trl_s_trainers_sample_and_learn(context: Make, method: str) -> None:
    block = {
        "iterations": 3,
        "batch_size": 8,
        "minibatch_size": 4,
        "group_size": 4,
        "max_new_tokens": 8,
        "engine": "trl",
    }
    block |= {"learning_rate": 1e-3, "reward": {"label": "nothate"}}
    record = train(context(method, learns_from="models/reward"), method, **block)
    assert record["facts"]["samples"] == 24 and moved("base", method)
    assert len(curve(method, "reward")) == 3 and abs(curve(method, "kl")[0]) < 1
    adapted = train(context("adapted", learns_from="models/reward"), method, **block, adapter=LORA)
    assert adapted["kind"] == "adapter" and moved("base", "adapted")
    for field, value in (("keep_every", 2), ("kl_target", 3.0), ("max_new_tokens", {"low": 2, "high": 8})):
        with pytest.raises(ValueError, match=f"'{field}' is not trl's to do; remove it"):
            train(context(method, learns_from="models/reward"), method, **block | {field: value})


@pytest.mark.parametrize("kind", ["sigmoid", "ipo", "length_normalised"])
def test_our_dpo_is_trl_s(context: Make, workdir: Path, kind: str) -> None:
    """The loss of one batch, policy and reference apart, by trl's own trainer."""
    trl = pytest.importorskip("trl.trainer.dpo_trainer", reason="trl has no DPOTrainer where it is looked for")
    from datasets import Dataset
    from trl import DPOConfig

    from bench.methods.dpo import losses
    from bench.methods.dpo import trainer as dpo

    ctx = context("dpo")
    start = ctx.start()
    policy = copy.deepcopy(start.model)
    torch.manual_seed(3)
    for parameter in policy.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    rows = [
        {"input_ids": [0, *range(40, 40 + 3 * i)], "summaries": [[70, 71, i, 2], [80 + i, *[90] * i, 2]]}
        for i in range(1, 5)
    ]
    collate = dpo.preference_collator(2)
    inputs = collate([row | {"reference": (0.0, 0.0)} for row in rows])
    with torch.no_grad():
        (ours, lengths), (theirs, _) = (dpo.summary_logprobs(model, inputs) for model in (policy, start.model))
    expected, _ = losses.LOSSES[kind](losses.Pairs(ours, theirs, lengths), 0.3, 0.0, torch.zeros(()))
    tool = trl.DPOTrainer(
        model=policy,
        ref_model=start.model,
        args=DPOConfig(
            output_dir="trl",
            beta=0.3,
            loss_type=[by_trl.CALLED[kind]],
            use_cpu=True,
            bf16=False,
            report_to=[],
            disable_dropout=True,
        ),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=start.tokenizer,
    )
    batch = tool.data_collator(
        [
            {"prompt_ids": row["input_ids"], "chosen_ids": row["summaries"][0], "rejected_ids": row["summaries"][1]}
            for row in rows
        ]
    )
    tool.model.eval()
    with torch.no_grad():
        loss = tool.compute_loss(tool.model, batch)
    assert float(expected.mean()) == pytest.approx(float(loss), abs=1e-5)
    start_of = {"ipo": (1 / 0.6) ** 2}.get(kind, math.log(2))
    assert abs(float(loss) - start_of) > 1e-4, "policy and reference must differ for the test to say anything"


def test_a_study_of_a_decoder_only_base_runs_to_its_report(workdir: Path, decoder_templates: dict[str, Path]) -> None:
    import importlib

    raw = tiny()
    raw["checkpoints"]["base"] = {"source": "local", "path": str(decoder_templates["llama"]), "name": "tiny-llama"}
    raw["sources"] = {"checkpoint-base": str(decoder_templates["llama"])}
    raw["text"]["chat"] = True
    raw["variants"]["lora"]["adapter"] = LORA
    raw["variants"]["dpo"] = {
        "method": "dpo",
        "init": "lora",
        "learns_from": "models/reward",
        "optim": OPTIM | {"steps": 2},
        "pairs": {"prompts": 24, "samples": 8, "margin": 0.0, "max_new_tokens": 24},
        "reward": {"label": "nothate"},
    }
    with Path("params.yaml").open("w") as file:
        YAML().dump(raw, file)
    stages = [("params",), ("data",), *(("checkpoint", name) for name in ("base", "reward", "judge")), ("check",)]
    stages += [(stage, name) for name in raw["variants"] for stage in ("train", "generate", "score")]
    for stage, *names in [*stages, ("yardsticks",), ("report",)]:
        importlib.import_module(f"stages.{stage}").main(*names)
    found = storage.read_json(Path("reports/miniature/metrics.json"))
    assert set(raw["variants"]) <= set(found["variants"])
