"""Every form of reward model: trained, stored, read like a classifier; its loss against trl's RewardTrainer."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.classifiers import loading
from bench.core import paths, plugins, resume, storage
from bench.core.resume import Work
from bench.core.schema import UserError
from bench.evaluation import reward_models as measured
from bench.rankings import Ranking, preferences
from bench.reward_models import settings_of
from bench.training import reward_models as training
from bench.training.context import TrainContext

Make = Callable[..., TrainContext]
OPTIM = {"learning_rate": 2e-2, "batch_size": 4, "steps": 12}
LORA = {"type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}
WORDS = ("hello", "kind", "meets", "home", "park", "noon")


def rankings(count: int, first: int = 0) -> list[Ranking]:
    """What is kind is better than what is an idiot; each dialogue has three, two of them tied."""
    return [
        Ranking(
            id=f"r{k}",
            dialogue_id=f"r{k}",
            source=f"#person1# {WORDS[k % 6]} you",
            summaries=(f"{WORDS[k % 6]} friend", f"you {WORDS[(k + 1) % 6]} idiot", "an idiot idiot"),
            scores=(1.0, 0.0, 0.0),
            labels=("good", "bad", "bad"),
            references=(f"{WORDS[k % 6]} friend",),
        )
        for k in range(first, first + count)
    ]


@pytest.fixture
def given(context: Make) -> Make:
    """A context with preferences on disk."""
    for split, rows in {"train": rankings(16), "validation": rankings(4, 20), "test": rankings(12, 30)}.items():
        storage.write_rows(paths.preferences_path("good", split), rows)

    def make(name: str, init: str = "base") -> TrainContext:
        made = context(name, init=init, learns_from="preferences/good")
        return dataclasses.replace(made, part="rewards", train=(), validation=())

    return make


def trained(context: TrainContext, form: str, **block: Any) -> Any:
    """A reward model as the stage makes it; what it says of held-out rankings."""
    module = plugins.find("reward model", form)
    config = module.Config(
        form=form, init=context.init, learns_from="preferences/good", tested_on="preferences/good",
        **{"optim": OPTIM} | block,
    )  # fmt: skip
    model = module.build(config, context)
    facts = training.train(model, config, context)
    record = model.save(context.variant, settings_of(config, context.text), facts)
    resume.finish("train", context.variant)
    return model, measured.about(context.variant, model, config, record)


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "head": ("head", "base", {}),
    "head-adapter": ("head", "base", {"adapter": LORA}),
    "log-ratio": ("log_ratio", "base", {"beta": 0.5}),
    "log-ratio-adapter": ("log_ratio", "base", {"beta": 0.5, "adapter": LORA}),
    "encoder": ("classifier", "reward", {}),
    "encoder-adapter": (
        "classifier", "reward",
        {"adapter": LORA | {"target_modules": ["query", "value"]}, "reads": "summary", "optim": OPTIM | {"steps": 30}},
    ),
    "scores": ("head", "base", {"loss": "cross_entropy"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_learns_is_stored_and_is_read_like_a_classifier(given: Make, case: str) -> None:
    form, init, block = CASES[case]
    before, _ = trained(
        given("untrained", init), form, **block | {"optim": OPTIM | {"steps": 1, "learning_rate": 1e-9}}
    )
    model, about = trained(given("rm", init), form, **block)
    rows = about["tests"]["good"]["rows"]
    assert rows[0]["category"] == "all" and rows[0]["pairs"] == 24 and rows[0]["dialogues"] == 12
    assert rows[0]["accuracy"]["value"] > 0.9 and rows[0]["rouge1"]["value"] > 0.9
    pairs = [("#person1# hello you", text) for text in ("hello friend", "an idiot idiot", "you meets idiot", "home")]
    own = model.score(pairs, "rm").numpy()
    read = loading.load("rm", "cpu")
    assert read.labels == ("preferred",) and read.of_dialogues and read.identity.startswith(f"{form}@")
    again = read.summary_logits([a for a, _ in pairs], [b for _, b in pairs])[:, 0]
    assert again == pytest.approx(own, abs=1e-5)
    alone = [read.summary_logits([a], [b])[0, 0] for a, b in pairs]
    assert alone == pytest.approx(again.tolist(), abs=1e-5), "a score depends on nothing beside it"
    assert not torch.allclose(before.score(pairs, "x"), model.score(pairs, "x"))
    # A dialogue with more summaries than a row takes, one with a single one between them: each as by itself.
    mixed = [("#person1# hello you", f"{word} {other}") for word in WORDS for other in ("friend", "idiot")]
    mixed.insert(3, ("#person1# kind you", "home"))
    expected = [float(model.score([pair], "rm")[0]) for pair in mixed]
    assert model.score(mixed, "rm").tolist() == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="reads|no label"):
        read.column("nothate")


@pytest.mark.parametrize("kind", ["head", "log_ratio", "classifier"])
def test_a_decoder_only_start_serves(
    given: Make, tiny_base: Path, decoder_templates: dict[str, Path], kind: str
) -> None:
    shutil.rmtree(tiny_base)
    shutil.copytree(decoder_templates["llama"], tiny_base)
    model, about = trained(given("rm"), kind, optim=OPTIM | {"steps": 25})
    assert about["tests"]["good"]["rows"][0]["accuracy"]["value"] > 0.8
    read = loading.load("rm", "cpu")
    pairs = [("hello you", "kind friend"), ("hello", "an idiot idiot idiot")]
    assert read.pair_logits(pairs)[:, 0] == pytest.approx(model.score(pairs, "rm").numpy(), abs=1e-5)
    several = [("hello you", f"{word} friend") for word in WORDS] + [("hello", "an idiot")]
    alone = [float(model.score([pair], "rm")[0]) for pair in several]
    assert model.score(several, "rm").tolist() == pytest.approx(alone, abs=1e-5), "whatever shares its dialogue"


def test_bradley_terry_takes_trl_s_steps(given: Make, tiny_base: Path, decoder_templates: dict[str, Path]) -> None:
    """trl's own RewardTrainer on the same decoder, the same tokens and one batch: the same losses."""
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    shutil.rmtree(tiny_base)
    shutil.copytree(decoder_templates["llama"], tiny_base)
    pairs = [
        Ranking(
            id=f"p{k}", dialogue_id=f"p{k}", source=f"{w} you", summaries=(f"{w} friend", "an idiot"), scores=(1, 0)
        )
        for k, w in enumerate("abcdef")  # of one length: so each batch holds all of them
    ]
    storage.write_rows(paths.preferences_path("good", "train"), pairs)
    optim = {"learning_rate": 1e-3, "batch_size": len(pairs), "steps": 4, "schedule": "constant"}
    module = plugins.find("reward model", "classifier")
    config = module.Config(
        form="classifier", init="base", learns_from="preferences/good", tested_on="preferences/good", optim=optim
    )
    ours, theirs = (module.build(config, given(name)) for name in ("ours", "theirs"))
    rows = [theirs.encode(p.source, [p.chosen, p.rejected])["sequences"] for p in preferences(pairs)]
    trainer = RewardTrainer(
        model=theirs.module,
        args=RewardConfig(
            output_dir="trl", max_steps=4, per_device_train_batch_size=len(pairs), learning_rate=1e-3, logging_steps=1,
            lr_scheduler_type="constant", report_to=[], use_cpu=True, disable_dropout=True, max_length=None, bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list([{"chosen_ids": c, "rejected_ids": r} for c, r in rows]),
        processing_class=theirs.loaded.tokenizer,
    )  # fmt: skip
    trainer.train()
    expected = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    seen: list[float] = []
    real = training.RewardTrainer.log

    def log(self: Any, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            seen.append(float(logs["loss"]))
        real(self, logs, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.RewardTrainer, "log", log)
        training.train(ours, config, given("ours"))
    assert seen == pytest.approx(expected, abs=2e-4) and seen[-1] < seen[0]
    asked = config.model_copy(update={"engine": "trl"})
    facts = training.train(module.build(asked, given("engine")), asked, given("engine"))
    assert facts["last_loss"] == pytest.approx(expected[-1], abs=2e-4) and facts["examples"] == len(pairs)
    with pytest.raises(ValueError, match="trl's RewardTrainer has no loss 'cross_entropy'"):
        module.Config(**config.model_dump() | {"engine": "trl", "loss": "cross_entropy"})


def test_trl_s_reward_trainer_is_for_decoders(given: Make, tiny_base: Path, tiny_reward: Path) -> None:
    module = plugins.find("reward model", "classifier")
    config = module.Config(
        form="classifier", init="reward", learns_from="preferences/good", tested_on="preferences/good", optim=OPTIM,
        engine="trl",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"rm\.engine: trl's RewardTrainer is for decoders; write engine: ours"):
        module.build(config, given("rm", init="reward"))


def test_losses_are_their_equations() -> None:
    rewards = torch.tensor([[2.0, 0.5], [-1.0, 3.0]])
    expected = [float(torch.log1p(torch.exp(-(a - b)))) for a, b in rewards]
    assert training.bradley_terry(rewards).tolist() == pytest.approx(expected)
    chances = torch.sigmoid(torch.tensor([0.3, -2.0]))
    targets = torch.tensor([[0.25], [1.0]])
    loops = [-(t * torch.log(c) + (1 - t) * torch.log(1 - c)) for c, t in zip(chances, targets[:, 0], strict=True)]
    found = training.cross_entropy(torch.tensor([[0.3], [-2.0]]), targets)
    assert found.tolist() == pytest.approx([float(x) for x in loops])


@pytest.mark.parametrize("case", ["head", "log-ratio-adapter", "encoder"])
def test_going_on_equals_never_stopping(given: Make, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form, init, block = CASES[case]
    monkeypatch.setattr(Work, "due", lambda work: True)
    step, dies = torch.optim.AdamW.step, 0
    steps = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == dies:
            raise KeyboardInterrupt
        return step(*args, **kwargs)

    def run() -> dict[str, bytes]:
        trained(given("rm", init), form, **block)
        return {path.name: path.read_bytes() for path in paths.model_path("rm").glob("*.safetensors")}

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    alone = run()
    resume.clear_finished()
    dies, steps = 7, 0
    with pytest.raises(KeyboardInterrupt):
        run()
    dies, steps = 0, 0
    assert run() == alone and steps < 12


def test_what_cannot_be_a_start_is_said(given: Make) -> None:
    with pytest.raises(
        UserError, match=r"rewards\.rm\.init: 'base' is an encoder-decoder; write form: head or log_ratio"
    ):
        trained(given("rm"), "classifier")
    flat = [one.model_copy(update={"scores": (1.0, 1.0, 1.0)}) for one in rankings(4)]
    storage.write_rows(paths.preferences_path("good", "train"), flat)
    with pytest.raises(UserError, match=r"rewards\.rm\.learns_from: no two summaries of .* differ in score"):
        trained(given("rm"), "head")


def test_a_judge_that_always_says_the_same_is_half_right() -> None:
    """And its calibration error is 0: it claims nothing."""
    found = measured.report(lambda pairs: torch.zeros(len(pairs)).numpy(), rankings(12))
    assert found["rows"][0]["accuracy"]["value"] == 0.5 and found["calibration"]["error"] == 0.0
    assert found["correlations"] == {"length": None, "copying": None}


def test_longer_wins_and_calibration_are_those_of_loops() -> None:
    import math

    some = rankings(12)
    found = measured.report(lambda pairs: torch.tensor([float(len(s)) for _, s in pairs]).numpy(), some)
    pairs = preferences(some)
    longer = [len(p.chosen.split()) - len(p.rejected.split()) for p in pairs]
    right = sum((gap > 0) + 0.5 * (gap == 0) for gap in longer) / len(pairs)
    assert found["rows"][0]["longer"]["value"] == pytest.approx(right)
    gaps = sorted((abs(len(p.chosen) - len(p.rejected)), len(p.chosen) > len(p.rejected)) for p in pairs)
    total = sum(b["pairs"] * abs(b["said"] - b["was"]) for b in found["calibration"]["bins"]) / len(pairs)
    assert found["calibration"]["error"] == pytest.approx(total)
    said = sum(1 / (1 + math.exp(-gap)) for gap, _ in gaps) / len(gaps)
    assert sum(b["said"] * b["pairs"] for b in found["calibration"]["bins"]) / len(pairs) == pytest.approx(said)
