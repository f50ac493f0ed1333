"""What online methods share: a policy that samples, is rewarded and is updated, again and again.

A method subclasses `OnlineLearner` and says what a rollout teaches (`targets`) and what is minimised (`loss`); prompts,
rollouts, passes in minibatches, micro-batches, several processes, states to resume from and the curve are here.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from bench.core import distributed, runtime, storage
from bench.core.paths import curve_path
from bench.core.schema import Example, UserError
from bench.lm import models
from bench.lm.models import Batch, Loaded
from bench.training import passes
from bench.training.context import TrainContext
from bench.training.memory import MicroBatches
from bench.training.progress import Progress
from bench.training.rewards import Reward
from bench.training.rollouts import AdaptiveKL, Rollout, Sampler, Tensors
from bench.training.settings import OnlineConfig


class OnlineLearner(ABC):
    """Holds policy, reference, optimiser and the KL coefficient; `iteration` is one batch of rollouts with its updates."""

    def __init__(self, config: OnlineConfig, context: TrainContext, reward: Reward) -> None:
        self.config, self.context = config, context
        if config.minibatch_size < distributed.world_size():
            raise UserError(
                f"params.yaml: {context.where}.minibatch_size: {config.minibatch_size} summaries cannot be "
                f"shared by {distributed.world_size()} processes; give at least as many."
            )
        start = context.start()
        self.policy: Loaded = models.trainable(start, config.adapter)
        # A fresh adapter switched off is the start itself: no second copy. Else the policy moves away from its start.
        reference = None if config.adapter is not None else context.start().model.requires_grad_(False)
        self.accelerator = Accelerator(
            cpu=context.device == "cpu", mixed_precision="bf16" if context.compute.precision == "bfloat16" else "no"
        )
        actor = self.actor_of(self.policy.model).to(self.policy.device).eval()
        optimizer = torch.optim.AdamW(
            [p for p in actor.parameters() if p.requires_grad], lr=config.learning_rate, weight_decay=0.0
        )
        self.actor, self.optimizer = self.accelerator.prepare(actor, optimizer)
        self.sampler = Sampler(self.policy, reference, reward, config, context, self.forward, self.accelerator.autocast)
        self.parts = reward.names
        self.kl = AdaptiveKL(config.kl_coefficient, config.kl_target, config.kl_horizon)
        self.prompts = self._prompts()
        self.generator = torch.Generator().manual_seed(context.seed)
        self.curve: list[dict[str, float]] = []
        self.progress = Progress(self.sampler, context, config.batch_size, config.tag)
        self.micro_batches = MicroBatches(
            context.where,
            ("summary", "summaries"),
            "shorten text.max_source_tokens, or train an adapter",
        )

    def actor_of(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the module that is trained: the language model itself, unless a method puts a head on it."""
        return model

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Tensors]:
        """Compute logits (B, T, V) of the actor, and what else it gives for each target token, (B, T) each."""
        return models.target_logits(self.actor, batch), {}

    @abstractmethod
    def targets(self, rollout: Rollout) -> Tensors:
        """Compute what the passes over a rollout aim at, one row a sequence: advantages, for example."""

    @abstractmethod
    def loss(
        self, logits: torch.Tensor, extras: Tensors, rollout: Rollout, targets: Tensors
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Compute the loss (), a mean over `units`, and what the curve shows of it."""

    def units(self, rollout: Rollout) -> torch.Tensor:
        """Count what the loss is a mean over, (): generated tokens, unless a method says otherwise."""
        return rollout.mask.sum()

    def _prompts(self) -> Iterator[list[Example]]:
        """Batches of training dialogues, `group_size` times each, each dialogue once before any comes again."""
        examples, group = self.context.tagged("train", self.config.tag), self.config.group_size
        count = self.config.batch_size // group
        rng, queue = np.random.default_rng(self.context.seed), list[int]()
        while True:
            while len(queue) < count:
                queue += rng.permutation(len(examples)).tolist()
            yield [examples[i] for i in queue[:count] for _ in range(group)]
            queue = queue[count:]

    def iteration(self) -> None:
        """Sample one batch of rollouts and take the passes over it; adds a row to the curve."""
        config, rollout = self.config, self.sampler.sample(next(self.prompts), len(self.curve))
        targets = self.targets(rollout)
        logs: list[dict[str, float]] = []
        for _ in range(config.epochs):
            for index in torch.randperm(config.batch_size, generator=self.generator).split(config.minibatch_size):
                index = index.to(rollout.mask.device)
                logs.append(self.update(rollout.rows(index), {name: one[index] for name, one in targets.items()}))
        kl = float(rollout.kl.sum(1).mean())
        row = {
            "step": len(self.curve),
            **dict(zip(self.parts, rollout.rewards.mean(0).tolist(), strict=True)),
            "shaped_reward": float(rollout.shaped_rewards.mean()),
            "kl": kl,
            "kl_coefficient": self.kl.coefficient,
            "length": float(rollout.mask.sum(1).mean()),
        }
        self.kl.update(kl, config.batch_size)
        self.curve.append(row | {key: float(np.mean([log[key] for log in logs])) for key in logs[0]})

    def update(self, rollout: Rollout, targets: Tensors) -> dict[str, float]:
        """Take one optimiser step on a minibatch, in more micro-batches when memory runs out."""
        step = len(self.curve)
        self.optimizer.zero_grad()
        logs = self.micro_batches.run(
            step, len(rollout.rewards), lambda: self._gradients(rollout, targets), self.optimizer.zero_grad
        )
        norm = float(self.accelerator.clip_grad_norm_(self.actor.parameters(), self.config.max_grad_norm))
        if not math.isfinite(logs["loss"]) or not math.isfinite(norm):
            raise UserError(
                f"params.yaml: {self.context.where}: the loss became {logs['loss']} (gradient norm {norm}) at step "
                f"{step}; the last good state is kept in {self.context.work.folder}; lower learning_rate."
            )
        self.optimizer.step()
        return logs | {"grad_norm": norm}

    def _gradients(self, rollout: Rollout, targets: Tensors) -> dict[str, float]:
        """Accumulate the gradients of a minibatch, each micro-batch weighted by its share of the loss's units.

        So neither micro-batches nor processes, each of which takes its rows of the minibatch, change anything.
        """
        units, logs = self.units(rollout), dict[str, float]()
        own = distributed.shard(len(rollout.rewards))
        for index in torch.arange(own.start, own.stop, device=rollout.mask.device).chunk(self.micro_batches.count):
            part = rollout.rows(index)
            weight = self.units(part) / units
            with passes.for_training(self.context.device, self.context.compute.compile):
                logits, extras = self.forward(part.batch)
            loss, means = self.loss(logits, extras, part, {name: one[index] for name, one in targets.items()})
            # Gradients are averaged over the processes.
            self.accelerator.backward(weight * loss * distributed.world_size())
            for key, value in {"loss": float(loss), **means}.items():
                logs[key] = logs.get(key, 0.0) + float(weight) * value
        summed = distributed.all_reduce(
            torch.tensor(list(logs.values()), dtype=torch.float64, device=rollout.mask.device)
        )
        return dict(zip(logs, summed.tolist(), strict=True))

    def validate(self) -> dict[str, float]:
        """Measure reward and KL of samples on the validation split: what settings are chosen by."""
        rollouts = [rollout for _, rollout in self.progress.rollouts(len(self.curve))]
        return {
            "validation_reward": float(np.concatenate([rollout.rewards[:, 0] for rollout in rollouts]).mean()),
            "validation_kl": float(torch.cat([rollout.kl.sum(1) for rollout in rollouts]).mean()),
        }

    def state(self) -> dict[str, Any]:
        """Return all that the next iteration depends on, and the curve so far."""
        return {
            "weights": {name: p.detach() for name, p in self.actor.named_parameters() if p.requires_grad},
            "optimizer": self.optimizer.state_dict(),
            "kl_coefficient": self.kl.coefficient,
            "order": self.generator.get_state(),
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state_all() if self.context.device == "cuda" else [],
            "curve": self.curve,
            "tokens": self.sampler.tokens,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from `state`; the prompts are drawn anew up to it."""
        self.actor.load_state_dict(state["weights"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.kl.coefficient, self.curve, self.sampler.tokens = state["kl_coefficient"], state["curve"], state["tokens"]
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["random"])
        if state["random_gpu"]:
            torch.cuda.set_rng_state_all(state["random_gpu"])
        for _ in self.curve:
            next(self.prompts)


def train(learner: OnlineLearner, method: str) -> dict[str, Any]:
    """Run all iterations from the last state kept, save the policy and its curve; returns the manifest."""
    config, context = learner.config, learner.context
    seconds, started = 0.0, time.monotonic()
    if state := context.work.load_state():
        learner.restore(state["learner"])
        seconds = state["seconds"]
    if config.keep_every and not learner.curve:
        learner.progress.keep(0)
    for step in context.progress(range(config.iterations), f"{context.variant}: {method}", config.iterations):
        if step < len(learner.curve):
            continue
        learner.iteration()
        if config.keep_every and ((step + 1) % config.keep_every == 0 or step + 1 == config.iterations):
            learner.progress.keep(step + 1)
        if context.work.due() or step + 1 == config.iterations:
            context.work.save_state({"learner": learner.state(), "seconds": seconds + time.monotonic() - started})
    context.meter.record(
        "training",
        seconds + time.monotonic() - started,
        examples=config.iterations * config.batch_size,
        tokens=learner.sampler.tokens,
    )
    runtime.set_seed(context.seed)
    facts = {f"last_{key}": value for key, value in learner.curve[-1].items() if key != "step"} | learner.validate()
    facts |= {"samples": config.iterations * config.batch_size}
    record = models.save(learner.policy, context.variant, method, facts)
    learner.progress.write()
    storage.write_table(curve_path(context.variant), learner.curve)
    return record
