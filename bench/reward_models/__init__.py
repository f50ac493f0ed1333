"""What a form of reward model is: a file of this folder with `Config`, `build` and `load`.

A reward model gives a summary of a dialogue one number, a logit. It learns from preferences and is read like a classifier;
it writes nothing and is never a variant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bench.core import plugins
from bench.core.blocks import RewardModelConfig, TextConfig
from bench.training.settings import OptimConfig

if TYPE_CHECKING:
    from bench.classifiers.reward_models import RewardModel
    from bench.training.context import TrainContext


class TrainedConfig(RewardModelConfig):
    """What every form takes. `loss`: Bradley-Terry on pairs, or cross-entropy of each summary by its score, scaled to [0, 1].

    Pairs whose scores differ by `margin` or less are none. `own` trains on the training part of `tested_on` too: rankings of
    a policy's own samples beside others.
    """

    loss: Literal["bradley_terry", "cross_entropy"] = "bradley_terry"
    margin: float = Field(0.0, ge=0)
    own: bool = False
    optim: OptimConfig
    adapter: dict[str, Any] | None = None


@dataclass(frozen=True)
class Form:
    """The contract of `bench/reward_models/<name>`.

    `build(config, context)` makes an untrained one of the start's weights; `load(name, settings, device)` reads one from
    models/<name>.
    """

    Config: type[TrainedConfig]
    build: Callable[[Any, TrainContext], RewardModel]
    load: Callable[[str, dict[str, Any], str], RewardModel]


def find(name: str) -> Form:
    """Return the form of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Form, plugins.find("reward model", name))


def settings_of(config: TrainedConfig, text: TextConfig) -> dict[str, Any]:
    """Return what a reward model's folder says beside its weights."""
    return {
        "form": config.form,
        "init": config.init,
        "config": config.model_dump(mode="json"),
        "text": text.model_dump(mode="json"),
    }
