"""What a training method is: a file or folder of this folder with `Config`, `LEARNS_FROM` and `train`.

docs/extending.md has a template. A method that is a folder holds all that no other method runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.core import plugins
from bench.core.schema import MethodConfig

if TYPE_CHECKING:
    from bench.training.context import TrainContext

LearnsFrom = Literal["nothing", "references", "reward", "outputs"]


@dataclass(frozen=True)
class Method:
    """The contract of `bench/methods/<name>`.

    `Config` types a variant's block; importing it must not import torch. `LEARNS_FROM` says what its `learns_from` has
    to name: nothing (the start itself), the training split's references, a classifier that gives the reward, or a file of
    outputs: then there is no model.
    `train(config, context)` trains, writes `context.out` and the curve, and returns the manifest.
    """

    Config: type[MethodConfig]
    LEARNS_FROM: LearnsFrom
    train: Callable[[Any, TrainContext], dict[str, Any]]


def find(name: str) -> Method:
    """Return the method of that name.

    Raises:
        UserError: there is none.
    """
    return plugins.conform(Method, plugins.find("method", name))
