"""Linear layers of a model at rest, on weights that are laid out once for the processor (oneDNN).

A CPU's matrix product lays the weights out anew at every call. Where a batch writes one token a row that is most of the
call: FLAN-T5-small's head was 2.3 times as fast for 16 rows where the layout is kept (benchmarks/test_hot_paths.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch


def prepack(model: Any) -> list[torch.nn.Module]:
    """Let `model`, which no longer learns, run on packed copies of its weights; returns the layers that do.

    Results differ from the plain ones by rounding. Where a layer is not in float32 on a CPU, or torch was built without
    oneDNN, nothing happens.
    """
    layers = [module for module in model.modules() if _fits(module)]
    for layer in layers:
        weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach())
        layer.forward = partial(_linear, weight=weight, bias=layer.bias)  # type: ignore[method-assign]
    return layers


@contextmanager
def prepacked(model: Any) -> Iterator[None]:
    """Run `model` on prepacked weights, without gradients, within the block; afterwards as before."""
    layers = prepack(model)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _fits(module: torch.nn.Module) -> bool:
    return (
        type(module) is torch.nn.Linear
        and "forward" not in vars(module)  # packed already
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # not public: what torch's own compiler writes
    )


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
