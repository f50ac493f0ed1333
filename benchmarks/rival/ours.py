"""The same work through this project: the calls that its stages make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from bench.classifiers import loading
from bench.core import resume, runtime
from bench.core.blocks import GenerationConfig
from bench.generation import predict
from bench.lm import models
from bench.lm.models import Loaded
from bench.training.context import TrainContext
from bench.training.settings import OptimConfig, RewardConfig
from benchmarks.rival.counting import Watch, Weights
from benchmarks.rival.laps import Lap, Pace, encoded
from benchmarks.rival.task import (
    ADAPTER,
    LEARNING_RATE,
    PPO_BATCH,
    PPO_LEARNING_RATE,
    PPO_MINIBATCH,
    PPO_TOKENS,
    TEXT,
    TRAIN_BATCH,
    Task,
)


def context(task: Task, train: int) -> TrainContext:
    """What a method is handed."""
    device = runtime.prepare(task.compute, task.seed)
    return TrainContext(
        variant="rival",
        init=task.base,
        learns_from="models/reward",
        seed=task.seed,
        text=TEXT,
        compute=task.compute,
        device=device,
        train=task.examples("train", train),
        validation=[],
        meter=runtime.Meter(),
        work=resume.Work("train", task.arithmetic, "rival"),
    )


def training(task: Task, lap: Lap) -> dict[str, Any]:
    """In float32, as the lab; the tuned model stays for the other races."""
    loaded, found = trained(task, lap)
    loaded.model.save_pretrained("models/tuned")
    loaded.tokenizer.save_pretrained("models/tuned")
    return found


def training_in_bfloat16(task: Task, lap: Lap) -> dict[str, Any]:
    """With `compute.precision: bfloat16`."""
    return trained(replace(task, precision="bfloat16"), lap)[1]


def training_in_tf32(task: Task, lap: Lap) -> dict[str, Any]:
    """With `compute.tf32: true`."""
    return trained(replace(task, tf32=True), lap)[1]


def training_compiled(task: Task, lap: Lap) -> dict[str, Any]:
    """With `compute.compile: true`, on a GPU in TF32."""
    return trained(replace(task, tf32=task.device != "cpu", compiled=True), lap)[1]


def trained(task: Task, lap: Lap) -> tuple[Loaded, dict[str, Any]]:
    """One epoch by `trainer.fit`, as `method: sft` calls it."""
    from bench.training import batches, trainer

    given = context(task, task.dialogues)
    loaded = given.start()
    weights, shapes = Weights.of(loaded.model), list[tuple[int, int, int]]()
    rows = encoded(task, loaded.tokenizer, "train", task.dialogues)
    collate = batches.supervised_collator(int(loaded.tokenizer.pad_token_id))

    def noted(part: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate(part)
        shapes.append((len(part), batch["input_ids"].shape[1], batch["labels"].shape[1]))
        return batch

    optim = OptimConfig(learning_rate=LEARNING_RATE, batch_size=TRAIN_BATCH, epochs=1)
    lap()
    pace = Pace(task.dialogues // TRAIN_BATCH // task.rounds, lap)
    trainer.fit(loaded, rows, optim, given, noted, callbacks=[pace])
    loss = trainer.validation_loss(loaded, encoded(task, loaded.tokenizer, "dev", 32), batch_size=8)
    return loaded, {
        "flops": sum(weights.training_flops(*shape) for shape in shapes),
        "tokens": sum(count * (source + target) for count, source, target in shapes),
        "filled": sum(len(row["input_ids"]) + len(row["labels"]) for row in rows),
        "validation_loss": loss,
        "weights": weights.facts(),
    }


def generation(task: Task, lap: Lap) -> dict[str, Any]:
    """`generate.predict`, as the generate stage calls it."""
    device = runtime.prepare(task.compute, task.seed)
    loaded = models.load(task.base, device)
    settings = GenerationConfig(max_new_tokens=task.max_new_tokens, batch_size=task.batch_size)
    examples, watch, weights = task.examples("test", task.dialogues), Watch(loaded.model), Weights.of(loaded.model)
    wanted, rows = lap(), list[list[int]]()
    while wanted:
        rows = [list(row.token_ids) for row in predict(loaded, examples, TEXT, settings)]
        wanted = lap(**watch.take())
    return {"rows": rows, "weights": weights.facts()}


def classifier(task: Task, lap: Lap) -> dict[str, Any]:
    """`Classifier.logits` of all texts, as metrics and rewards call it."""
    device = runtime.prepare(task.compute, task.seed)
    model, texts = loading.load("reward", device), task.scored()
    logits, wanted = None, lap()
    while wanted:
        logits = model.logits(texts)
        wanted = lap()
    rows = [] if logits is None else logits.tolist()
    return {"scores": [dict(zip(model.labels, row, strict=True)) for row in rows]}


def ppo(task: Task, lap: Lap) -> dict[str, Any]:
    """`Learner.iteration`, as `method: ppo` calls it."""
    from bench.methods.ppo import Config
    from bench.methods.ppo.learner import Learner
    from bench.training.rewards import Reward

    given = context(task, PPO_BATCH * task.rounds)
    reward = RewardConfig(label=task.label)
    config = Config(
        method="ppo",
        init="base",
        learns_from="models/reward",
        adapter={"type": "LORA", **ADAPTER},
        reward=reward,
        batch_size=PPO_BATCH,
        minibatch_size=PPO_MINIBATCH,
        learning_rate=PPO_LEARNING_RATE,
        max_new_tokens=PPO_TOKENS,
    )
    learner, steps = Learner(config, given, Reward.of(given.learns_from, reward, given.device)), 0
    wanted = lap()
    while wanted:
        learner.iteration()
        steps += 1
        wanted = lap()
    return {"tokens": learner.sampler.tokens, "summaries": steps * PPO_BATCH}
