"""LoRA's layers as a CPU trains them fastest: one product with the weights' sum, in place of three products and a sum.

peft computes W x + s B (A x), whose narrow products and sums go through memory as often as the wide product does. Here
(W + s B A) x is computed, in both directions; only the gradients of A and B need narrow products. It is the function that
`merge_and_unload` writes with. `benchmarks/test_hot_paths.py` has the ratio.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners import lora
from torch.autograd.function import once_differentiable

from bench.lm import cpu_kernels

LOW = 16  # the rank from which a product's layout makes no difference


@contextmanager
def merged() -> Iterator[None]:
    """Have peft's LoRA layers compute so within the block; a layer that this does not fit goes on as peft has it."""
    own = lora.Linear.forward

    def forward(layer: lora.Linear, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        name = None if args or kwargs else _adapter(layer, x)
        if name is None:
            return own(layer, x, *args, **kwargs)
        weights = (layer.base_layer.weight, layer.base_layer.bias, layer.lora_A[name].weight, layer.lora_B[name].weight)
        return cpu_kernels.by_rows(_LoraLinear, x, *weights, layer.scaling[name])

    lora.Linear.forward = forward  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        lora.Linear.forward = own  # type: ignore[method-assign]


def _adapter(layer: lora.Linear, x: torch.Tensor) -> str | None:
    """The one adapter of the layer, where it is plain LoRA without dropout on a frozen linear layer, else None."""
    base, names = layer.base_layer, [name for name in layer.active_adapters if name in layer.lora_A]
    if len(names) != 1 or layer.disable_adapters or layer.merged or type(base) is not torch.nn.Linear:
        return None
    a, b, dropout = layer.lora_A[names[0]], layer.lora_B[names[0]], layer.lora_dropout[names[0]]
    plain = names[0] not in layer.lora_variant and b.bias is None and base.weight.device.type == "cpu"
    plain = plain and (isinstance(dropout, torch.nn.Identity) or not dropout.training)
    plain = plain and not any(hooked._forward_hooks or hooked._forward_pre_hooks for hooked in (base, a, b))
    frozen = not any(parameter.requires_grad for parameter in base.parameters())
    same = a.weight.dtype == b.weight.dtype == torch.float32
    # Rows for which two narrow products, N r (I + O), are more work than the weights' sum, r I O.
    enough = x.numel() // x.shape[-1] * sum(base.weight.shape) > base.weight.numel()
    return names[0] if plain and frozen and same and enough and cpu_kernels.suits_onednn(x, base.weight) else None


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        ctx.scaling = scaling
        ctx.save_for_backward(x, weight, a, b)
        return cpu_kernels.product(x, torch.addmm(weight, b, a, alpha=scaling), bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, a, b = ctx.saved_tensors
        of_x, of_a, of_b = None, None, None
        if ctx.needs_input_grad[0]:  # the sum is made again: kept, it would double the weights in memory
            of_x = cpu_kernels.product(gradient, torch.addmm(weight, b, a, alpha=ctx.scaling).t())
        if ctx.needs_input_grad[3]:
            of_a = (_narrow(gradient, b.t()) @ x).mul_(ctx.scaling)
        if ctx.needs_input_grad[4]:
            of_b = (_narrow(x, a) @ gradient).t().mul_(ctx.scaling)
        return of_x, None, None, of_a, of_b, None


def _narrow(rows: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """factor (r, I) @ rows' (N, I). Of a low rank, MKL multiplies fast only what lies row after row."""
    if len(factor) < LOW:
        return (rows @ factor.contiguous().t()).t().contiguous()
    return (rows @ factor.t()).t()
