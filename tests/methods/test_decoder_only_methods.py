"""Every method trains a tiny decoder-only model through its real code; a whole study runs on one."""

from __future__ import annotations

import copy
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
from bench.core.schema import UserError
from bench.lm import models
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


def test_dpo_starts_at_log_two_and_then_prefers_the_chosen(context: Make) -> None:
    ctx = context("dpo", learns_from="models/reward")
    train(ctx, "dpo", optim=OPTIM | {"steps": 15}, pairs=PAIRS, beta=0.5)
    assert curve("dpo", "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    assert sum(curve("dpo", "margin")[-3:]) > 0


def test_orpo_is_refused(context: Make) -> None:
    with pytest.raises(UserError, match="'orpo' trains encoder-decoders alone"):
        train(context("orpo", learns_from="models/reward"), "orpo", optim=OPTIM, pairs=PAIRS)


def test_our_dpo_is_trl_s(context: Make, workdir: Path) -> None:
    """The loss of one batch, policy and reference apart, by trl's own trainer."""
    trl = pytest.importorskip("trl.trainer.dpo_trainer", reason="trl has no DPOTrainer where it is looked for")
    from datasets import Dataset
    from trl import DPOConfig

    from bench.methods.dpo import loss

    ctx = context("dpo")
    start = ctx.start()
    policy = copy.deepcopy(start.model)
    torch.manual_seed(3)
    for parameter in policy.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    rows = [
        {"input_ids": [0, *range(40, 40 + 3 * i)], "chosen": [70, 71, i, 2], "rejected": [80 + i, *[90] * i, 2]}
        for i in range(1, 5)
    ]
    collate = loss.preference_collator(2)
    inputs = collate([row | {"reference": (0.0, 0.0)} for row in rows])
    with torch.no_grad():
        ours, theirs = loss.pair_logprobs(policy, inputs), loss.pair_logprobs(start.model, inputs)
    expected, _ = loss.dpo_loss(ours[:, 0], ours[:, 1], theirs[:, 0], theirs[:, 1], beta=0.3)
    tool = trl.DPOTrainer(
        model=policy,
        ref_model=start.model,
        args=DPOConfig(output_dir="trl", beta=0.3, use_cpu=True, bf16=False, report_to=[], disable_dropout=True),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),
        processing_class=start.tokenizer,
    )
    batch = tool.data_collator(
        [{"prompt_ids": row["input_ids"], "chosen_ids": row["chosen"], "rejected_ids": row["rejected"]} for row in rows]
    )
    tool.model.eval()
    with torch.no_grad():
        loss = tool.compute_loss(tool.model, batch)
    assert float(expected.mean()) == pytest.approx(float(loss), abs=1e-5)
    assert abs(float(loss) - math.log(2)) > 1e-3, "policy and reference must differ for the test to say anything"


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
