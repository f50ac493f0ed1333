"""Training a reward model: Bradley-Terry on pairs, or cross-entropy on scores, weighted so that each dialogue counts once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_model

from bench.classifiers.reward_models import RewardModel, Row
from bench.core import paths, storage
from bench.core.schema import UserError
from bench.rankings import Ranking, preferences
from bench.training.batches import Collator
from bench.training.trainer import LossTrainer, fit, steps_of

if TYPE_CHECKING:
    from bench.reward_models import TrainedConfig
    from bench.training.context import TrainContext


def bradley_terry(rewards: torch.Tensor) -> torch.Tensor:
    """Compute -log sigmoid(chosen - rejected) of each pair, (B, 2) -> (B,) (Ouyang et al. 2022, equation 1)."""
    return -F.logsigmoid(rewards[:, 0] - rewards[:, 1])


def cross_entropy(rewards: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute the binary cross-entropy of sigmoid(reward) against a target in [0, 1], (B, 1) twice -> (B,)."""
    return F.binary_cross_entropy_with_logits(rewards, targets, reduction="none")[:, 0]


def train(model: RewardModel, config: TrainedConfig, context: TrainContext) -> dict[str, float]:
    """Train `model` in place on the rankings' training part; returns its last loss and what it learnt from.

    Raises:
        UserError: the rankings hold nothing to learn from.
    """
    sources = [config.learns_from] + (
        [config.tested_on] if config.own and config.tested_on != config.learns_from else []
    )
    held = [paths.preferences_path(Path(source).name, "train") for source in sources]
    rankings = [ranking for path in held for ranking in storage.read_rows(path, Ranking)]
    taught = _pairs(rankings, config) if config.loss == "bradley_terry" else _scores(rankings)
    if not taught:
        raise UserError(
            f"params.yaml: {context.where}.learns_from: no two summaries of {held[0]} differ in score by more than margin "
            f"{config.margin:g}; lower it, or learn from other preferences."
        )
    # Of more pairs than there are steps for, as many as training will see, each once.
    seen = steps_of(config.optim, len(taught)) * config.optim.batch_size
    chosen = random.Random(context.seed).sample(taught, min(seen, len(taught)))
    rows = [{**model.encode(one.source, one.summaries), "weight": one.weight, "target": one.target} for one in chosen]
    if getattr(config, "engine", "ours") == "trl":
        from bench.training import by_trl

        curve = by_trl.reward(model.loaded, rows, config.optim, context)
        return {f"last_{key}": value for key, value in curve[-1].items()} | {"examples": len(rows)}
    rows = model.prepared(rows)
    curve = fit(
        model.loaded,
        rows,
        config.optim,
        context,
        _collator(model),
        trainer_class=RewardTrainer,
        module=model.module,
        of=model,
        loss=config.loss,
    )
    return {f"last_{key}": value for key, value in curve[-1].items()} | {"examples": len(rows)}


class _Taught(NamedTuple):
    """What a row teaches: K summaries of a dialogue, their targets, and what the row weighs."""

    source: str
    summaries: tuple[str, ...]
    weight: float
    target: tuple[float, ...]


def _pairs(rankings: Sequence[Ranking], config: TrainedConfig) -> list[_Taught]:
    return [
        _Taught(pair.source, (pair.chosen, pair.rejected), pair.weight, (1.0, 0.0))
        for pair in preferences(rankings, config.margin)
    ]


def _scores(rankings: Sequence[Ranking]) -> list[_Taught]:
    """Each summary by itself; scores become shares of the range that the rankings have."""
    scores = [score for ranking in rankings for score in ranking.scores]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if low == high:
        return []
    counts: dict[str, int] = {}
    for ranking in rankings:
        counts[ranking.dialogue_id] = counts.get(ranking.dialogue_id, 0) + len(ranking.scores)
    return [
        _Taught(ranking.source, (summary,), 1 / counts[ranking.dialogue_id], ((score - low) / (high - low),))
        for ranking in rankings
        for summary, score in zip(ranking.summaries, ranking.scores, strict=True)
    ]


def _collator(model: RewardModel) -> Collator:
    def collate(rows: list[Row]) -> dict[str, torch.Tensor]:
        return model.collate(rows) | {
            "weight": torch.tensor([row["weight"] for row in rows]),
            "target": torch.tensor([row["target"] for row in rows]),
        }

    return collate


class RewardTrainer(LossTrainer):
    """The weighted mean of a loss over pairs or scores; logs how often the chosen summary is the higher."""

    def __init__(self, *args: Any, of: RewardModel, loss: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of, self.loss = of, loss
        self.margins: list[torch.Tensor] = []

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save a state: a model in a module of ours has tensors that share memory, which transformers would refuse."""
        self.check_loss()
        if self.of.module is self.of.loaded.model:
            super().save_model(output_dir, _internal_call)
        elif self.args.should_save:
            folder = Path(output_dir or str(self.args.output_dir))
            folder.mkdir(parents=True, exist_ok=True)
            save_model(self.accelerator.unwrap_model(self.model), str(folder / "model.safetensors"))

    def units(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum the weights, ()."""
        return inputs["weight"].sum()

    def loss_sum(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum the weighted loss. Dropout is off: a reward must not depend on chance."""
        model.eval()
        with self.accelerator.autocast():
            rewards = self.of.rewards(model, inputs)
        if self.loss == "bradley_terry":
            self.margins.append((rewards[:, 0] - rewards[:, 1]).detach())
            each = bradley_terry(rewards)
        else:
            each = cross_entropy(rewards, inputs["target"])
        return (each * inputs["weight"]).sum()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the accuracy on the pairs trained on since the last log."""
        if "loss" in logs and self.margins:
            margins = torch.cat(self.margins)
            logs |= {"accuracy": float((margins > 0).float().mean()), "margin": float(margins.mean())}
            self.margins = []
        super().log(logs, *args, **kwargs)
