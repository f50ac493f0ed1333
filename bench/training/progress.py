"""What a policy writes on the way: samples of the same validation dialogues every so many steps, beside its weights.

From them the report draws what each method gave up for its reward (Gao et al. 2023, "Scaling laws for reward model
overoptimization"): nothing of it is used in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from bench.core import distributed, paths, storage
from bench.core.paths import PROGRESS
from bench.core.schema import Example, Written
from bench.lm import models
from bench.training.rollouts import Rollout, Sampler
from bench.training.settings import OnlineConfig

if TYPE_CHECKING:
    from bench.lm.models import Loaded
    from bench.training.context import TrainContext
    from bench.training.rewards import Reward

VALIDATED = 128  # dialogues of the validation split that are written, and settings are chosen by


class Progress:
    """Samples a policy's summaries of validation dialogues, always by the same random numbers, which are none of training's."""

    def __init__(self, sampler: Sampler, context: TrainContext, batch_size: int, tag: str | None = None) -> None:
        self.sampler, self.context, self.size, self.tag = sampler, context, batch_size, tag

    def rollouts(self, step: int) -> Iterator[tuple[Sequence[Example], Rollout]]:
        """Sample the dialogues, batch by batch."""
        examples = self.context.tagged("validation", self.tag)[:VALIDATED]
        for first in range(0, len(examples), self.size):
            part = examples[first : first + self.size]
            yield part, self.sampler.sample(part, step)

    def keep(self, step: int) -> None:
        """Note what the policy writes after so many steps; what was noted before an interruption stands."""
        path = self.context.work.folder / f"written-{step:06d}.jsonl"
        distributed.barrier()
        if path.exists():
            return
        tokens, rows = self.sampler.tokens, list[Written]()
        with torch.random.fork_rng():
            torch.manual_seed(self.context.seed)
            for examples, rollout in self.rollouts(step):
                rewards = rollout.rewards[:, 0].tolist() if self.sampler.reward else [None] * len(examples)
                kept = zip(examples, rollout.texts, rewards, rollout.kl.sum(1).tolist(), strict=True)
                rows += [
                    Written(step=step, id=e.id, dialogue_id=e.dialogue_id, text=text, reward=reward, kl=kl)
                    for e, text, reward, kl in kept
                ]
        self.sampler.tokens = tokens  # throughput is that of training
        distributed.barrier()
        if distributed.rank() == 0:
            storage.write_rows(path, rows)

    def write(self) -> None:
        """Put all that was kept beside the weights."""
        kept = sorted(self.context.work.folder.glob("written-*.jsonl"))
        if kept and distributed.rank() == 0:
            rows = [row for path in kept for row in storage.read_rows(path, Written)]
            storage.write_rows(paths.model_path(self.context.variant) / PROGRESS, rows)


class KeepProgress(TrainerCallback):
    """Keeps what a model under a Trainer writes, before the first step, every so many and after the last."""

    def __init__(self, progress: Progress, every: int) -> None:
        self.progress, self.every = progress, every

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep before the first step."""
        if state.global_step == 0:
            self._keep(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep where it is time."""
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._keep(state.global_step)

    def _keep(self, step: int) -> None:
        self.progress.sampler.policy.model.eval()
        self.progress.keep(step)


def of_trainer(
    loaded: Loaded,
    reward: Reward | None,
    context: TrainContext,
    every: int | None,
    longest: int,
    adapter: dict[str, Any] | None,
) -> KeepProgress | None:
    """Make the callback for a training that asks for one; what learns from preferences has no `reward` to note."""
    if every is None:
        return None
    reference = None if adapter is not None else context.start().model.requires_grad_(False)
    config = OnlineConfig(max_new_tokens=longest, kl_limit=1e9)
    sampler = Sampler(
        loaded,
        reward=reward,
        reference=reference,
        config=config,
        context=context,
        forward=lambda batch: (models.target_logits(loaded.model, batch), {}),
    )
    return KeepProgress(Progress(sampler, context, config.batch_size), every)
