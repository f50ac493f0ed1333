"""What a training method is: a file or folder of this folder with `Config`, `LEARNS_FROM` and `train`.

docs/extending.md has a template. A method that is a folder holds all that no other method runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core import plugins
from bench.core.blocks import MethodConfig

if TYPE_CHECKING:
    from bench.training.context import TrainContext

LearnsFrom = Literal["nothing", "references", "reward", "pairs", "outputs"]


@dataclass(frozen=True)
class Method:
    """The contract of `bench/methods/<name>`.

    `Config` types a variant's block; importing it must not import torch. `LEARNS_FROM` says what its `learns_from` has
    to name: nothing (the start itself), the training split's references, what gives the reward (a classifier, a reward model,
    or data/train.jsonl for a metric), pairs (the same, or a folder of preferences), or a file of outputs: then there is no model.
    `OWN_DISTRIBUTION` is false where the summaries are no draws from the variant's model, so that no KL of it means anything.
    `train(config, context)` trains, writes `context.out` and the curve, and returns the manifest.
    """

    Config: type[MethodConfig]
    LEARNS_FROM: LearnsFrom
    train: Callable[[Any, TrainContext], dict[str, Any]]
    OWN_DISTRIBUTION: bool = True


def find(name: str) -> Method:
    """Return the method of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Method, plugins.find("method", name))


def told(block: MethodConfig, record: dict[str, Any]) -> str:
    """Say in a line what a training did, by its manifest."""
    keys = ("final", "validation", "pairs", "last_kl", "last_reward")
    shown = "".join(f", {key} {value:.4g}" for key, value in record["facts"].items() if key.startswith(keys))
    share = record["trainable_parameters"] / max(record["total_parameters"], 1)
    return f"{block.method} from {block.init}, {share:.2%} trainable{shown}"
