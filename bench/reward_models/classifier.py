"""A sequence classifier with one logit, on an encoder or a decoder: it reads the summary, or the dialogue with it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from bench.core import runtime
from bench.core.schema import UserError
from bench.reward_models import TrainedConfig
from bench.training.context import TrainContext


class Config(TrainedConfig):
    """`reads` says what it is shown; of both, the dialogue is cut where they do not fit.

    With `engine: trl` trl's RewardTrainer trains one on a decoder: each pair counts once, however many its dialogue has.
    """

    reads: Literal["both", "summary"] = "both"
    engine: Literal["ours", "trl"] = "ours"

    @model_validator(mode="after")
    def _what_trl_has(self) -> Config:
        if self.engine == "trl" and self.loss != "bradley_terry":
            raise ValueError(f"trl's RewardTrainer has no loss '{self.loss}'; write engine: ours")
        return self


def build(config: Config, context: TrainContext) -> Any:
    """Start from any checkpoint's encoder or decoder under a fresh head.

    Raises:
        UserError: trl is to train an encoder.
    """
    from bench.classifiers.reward_models.classifying import Classifying

    runtime.set_seed(context.seed)
    found = Classifying.fresh(context.init, context.device, config.adapter, context.text, config.reads, context.where)
    if config.engine == "trl" and not found.decoder:
        raise UserError(
            f"params.yaml: {context.where}.engine: trl's RewardTrainer is for decoders; write engine: ours."
        )
    return found


def load(name: str, settings: dict[str, Any], device: str) -> Any:
    """Load model and head."""
    from bench.classifiers.reward_models.classifying import Classifying

    return Classifying.stored(name, settings, device)
