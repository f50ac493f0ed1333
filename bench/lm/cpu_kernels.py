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
SHORT = 200 * 200  # scores of a head up to which torch's fused attention is slower


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
    """Replace what torch's fused kernel lacks on a CPU, dropout and a mask that is learnt, and what it is slower for."""
    short = query.shape[-2] * key.shape[-2] <= SHORT
    if (
        not (dropout_p or short or (attn_mask is not None and attn_mask.requires_grad))
        or _levels(dropout_p) >= LEVELS
        or {x.dtype for x in (query, key, value)} != {torch.float32}
        or (attn_mask is not None and attn_mask.dtype not in (torch.bool, torch.float32))
        or (query.dim(), *query.shape[:-2]) != (4, *key.shape[:-2])
        or is_causal
        or enable_gqa
    ):
        return NotImplemented
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = query.new_zeros(attn_mask.shape).masked_fill_(~attn_mask, torch.finfo(query.dtype).min)
    shape = (*query.shape[:-1], key.shape[-2])
    mask = None if attn_mask is None else attn_mask.expand(shape).flatten(0, 1)
    heads = [x.flatten(0, 1) for x in (query, key, value)]
    return _Attention.apply(*heads, mask, scale, dropout_p).unflatten(0, shape[:2])


def _linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    return by_rows(_Linear, x, weight, bias) if suits_onednn(x, weight) else NotImplemented


def by_rows(function: type[torch.autograd.Function], x: torch.Tensor, *arguments: Any) -> torch.Tensor:
    """Apply a function of rows (N, I) to x (..., I).

    A view that the function made itself could not be changed in place, as LED changes its queries.
    """
    return function.apply(x.flatten(0, -2), *arguments).unflatten(0, x.shape[:-1])  # type: ignore[no-any-return,no-untyped-call]


def suits_onednn(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Tell whether x (..., I) @ weight' (O, I) is to be trained through by oneDNN's product: `product`."""
    return (
        hasattr(torch.ops.mkldnn, "_linear_pointwise")  # not public: what torch's own compiler writes
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and min(*weight.shape, x.numel() // x.shape[-1]) >= FEWEST
        and torch.is_grad_enabled()
    )


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


def _scaled(x: torch.Tensor, kept: torch.Tensor | None, p: float) -> torch.Tensor:
    """What dropout leaves of `x`: what is kept, scaled so that its mean stays; all of it where nothing was drawn."""
    # torch's own backward pass of dropout, which is its forward pass too: x * kept * scale in one go.
    return x if kept is None else torch.ops.aten.native_dropout_backward(x, kept, LEVELS / (LEVELS - _levels(p)))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, p: float) -> torch.Tensor:
        kept = _kept(x.shape, p)
        ctx.p = p
        ctx.save_for_backward(kept)
        return _scaled(x, kept, p)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _scaled(gradient, kept, ctx.p), None


class _Attention(torch.autograd.Function):
    """softmax(scale * query @ key' + mask) with dropout, times value, of (B * H, T, D); mask (B * H, T, S) or None."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scale: float,
        p: float,
    ) -> torch.Tensor:
        if mask is None:
            scores = (query @ key.mT).mul_(scale)
        else:
            scores = torch.baddbmm(mask, query, key.mT, alpha=scale)
            # The least number instead of minus infinity: a row that sees nothing must not become NaN.
            scores.clamp_min_(torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        ctx.kept, ctx.scale, ctx.p = _kept(weights.shape, p) if p else None, scale, p
        ctx.save_for_backward(query, key, value, weights)
        return _scaled(weights, ctx.kept, p) @ value

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        of_value = _scaled(weights, ctx.kept, ctx.p).mT @ gradient
        of_weights = _scaled(gradient @ value.mT, ctx.kept, ctx.p)
        of_scores = torch.ops.aten._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        scaled = of_scores if ctx.scale == 1 else of_scores * ctx.scale
        of_mask = of_scores if ctx.needs_input_grad[3] else None
        return scaled @ key, scaled.mT @ query, of_value, of_mask, None, None


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Compute x (N, I) @ weight' (O, I) + bias (O,) by oneDNN."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _outer(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """rows' @ columns of (N, R) and (N, C), with the narrower one on the side where oneDNN is faster."""
    if rows.shape[1] <= columns.shape[1]:
        return product(rows.t(), columns.t())
    return product(columns.t(), rows.t()).t()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        # What is not needed is not kept: the input of a frozen layer, the weight under an input without a gradient.
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(
        ctx: Any, gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        x, weight = ctx.saved_tensors
        return (
            product(gradient, weight.t()) if weight is not None else None,
            _outer(gradient, x) if x is not None else None,
            gradient.sum(0) if ctx.needs_input_grad[2] else None,
        )
