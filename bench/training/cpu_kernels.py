"""Dropout, attention and linear layers as a CPU trains them fastest: the same functions, other random numbers.

torch draws dropout's numbers one by one on one thread (a fifth of a step of FLAN-T5-small) and multiplies matrices by
MKL, which is slower than oneDNN on some processors. `benchmarks/test_hot_paths.py` has the ratios.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

LEVELS = 2**16  # a kept or dropped element is decided by 16 random bits
FEWEST = 64  # rows and columns below which MKL's product is as fast


class CpuKernels(TorchFunctionMode):
    """Takes calls of torch's functions while it is active; what it has no faster way for goes on to torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace the function that is called, where there is a faster one for these arguments."""
        faster = REPLACEMENTS.get(func)
        found = faster(*args, **(kwargs or {})) if faster else NotImplemented
        return func(*args, **(kwargs or {})) if found is NotImplemented else found


def _dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    if not training or inplace or x.dtype != torch.float32 or not 0 < _levels(p) < LEVELS:
        return NotImplemented
    return _Dropout.apply(x, p)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """torch's own way where there is dropout: its fused kernel has none on a CPU."""
    if dropout_p == 0 or query.dtype != torch.float32 or is_causal or enable_gqa:
        return NotImplemented
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale if scale != 1 else query) @ key.transpose(-2, -1)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # The least number instead of minus infinity: a row that sees nothing must not become NaN.
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    weights = scores.softmax(-1)
    kept = _dropout(weights, dropout_p)  # this mode does not see what it calls itself
    return (F.dropout(weights, dropout_p) if kept is NotImplemented else kept) @ value


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    if (
        not hasattr(torch.ops.mkldnn, "_linear_pointwise")  # not public: what torch's own compiler writes
        or {x.dtype, weight.dtype} != {torch.float32}
        or torch.is_autocast_enabled("cpu")
        or min(*weight.shape, x.numel() // x.shape[-1]) < FEWEST
        or not torch.is_grad_enabled()
    ):
        return NotImplemented
    return _Linear.apply(x, weight, bias)


REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    F.dropout: _dropout,
    F.linear: _linear,
    F.scaled_dot_product_attention: _attention,
}


def _levels(p: float) -> int:
    """How many of the `LEVELS` values of 16 bits drop an element: p within 1 / 131072."""
    return round(p * LEVELS)


def _kept(shape: torch.Size, p: float) -> torch.Tensor:
    """Which elements stay. The seed comes out of torch's generator: a training that goes on draws what it would have."""
    count, seed = shape.numel(), int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    bits = torch.from_numpy(words.view(np.int16)[:count])
    return (bits >= _levels(p) - LEVELS // 2).view(shape)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, p: float) -> torch.Tensor:
        kept = _kept(x.shape, p)
        ctx.scale = LEVELS / (LEVELS - _levels(p))
        ctx.save_for_backward(kept)
        return torch.ops.aten.native_dropout_backward(x, kept, ctx.scale)  # x * kept * scale

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (kept,) = ctx.saved_tensors
        return torch.ops.aten.native_dropout_backward(gradient, kept, ctx.scale), None


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        # What is not needed is not kept: the input of a frozen layer, the weight under an input without a gradient.
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        return (
            _product(gradient, weight.t()) if weight is not None else None,
            _product(rows.t(), x.reshape(-1, x.shape[-1]).t()) if x is not None else None,
            rows.sum(0) if ctx.needs_input_grad[2] else None,
        )
