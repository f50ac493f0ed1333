"""A base in 4 bits under an adapter (QLoRA, Dettmers et al. 2023), by bitsandbytes, on a CPU as on a GPU.

The weights of linear layers are rounded block by block when the model is loaded; the head, the embeddings and T5's `wo`
stay as they are. An adapter that was trained on them is never merged into 4 bits: where a model without adapter is needed, the rounded
weights are written out in float32 and the adapter is merged into those.
"""

from __future__ import annotations

from typing import Any

import torch

from bench.core.blocks import QuantizeConfig
from bench.core.schema import UserError

BLOCK = 64  # weights that share a scale, as in the paper


def quantize(model: Any, config: QuantizeConfig) -> Any:
    """Replace the linear layers of a model in float32, but its head, by rounded ones on the same device, in place.

    Raises:
        UserError: bitsandbytes is not installed.
    """
    nn, layers = _bitsandbytes().nn, _layers(model)
    if not layers:
        raise UserError(
            f"params.yaml: variants: 'quantize': no linear layer of this model has rows of whole blocks of {BLOCK} weights; remove it."
        )
    for parent, name, layer in layers:
        rounded = nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=torch.float32,
            compress_statistics=config.double,
            quant_type=config.type,
        )
        rounded.weight = nn.Params4bit(
            layer.weight.detach().clone(),
            requires_grad=False,
            compress_statistics=config.double,
            blocksize=BLOCK,
            quant_type=config.type,
        )
        if layer.bias is not None:
            rounded.bias = layer.bias
        # Where a processor has AVX512-BF16 the package would compute in bfloat16, in eval mode alone: other figures elsewhere.
        rounded.support_avx512bf16_for_cpu = False
        setattr(parent, name, rounded.to(layer.weight.device))  # moving it rounds it
    return model


@torch.no_grad()
def round_weights(model: Any, config: QuantizeConfig) -> Any:
    """Round the same layers of a model in place, each weight written out in float32 again."""
    functional = _bitsandbytes().functional
    for _, _, layer in _layers(model):
        packed, state = functional.quantize_4bit(
            layer.weight.detach(), blocksize=BLOCK, compress_statistics=config.double, quant_type=config.type
        )
        layer.weight.copy_(functional.dequantize_4bit(packed, state))
    return model


def count(parameter: torch.nn.Parameter) -> int:
    """Count the numbers in a parameter: of a rounded one, those that its bytes stand for."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(torch.Size(state.shape).numel())


def _layers(model: Any) -> list[tuple[Any, str, torch.nn.Linear]]:
    """Every linear layer but the head, with the module that holds it and its name there.

    Left out as well is what the model's own code keeps in float32: T5's `wo`, to whose dtype it casts what comes in; and a
    layer whose rows are no whole blocks: bitsandbytes 0.50.2 gives other values back on a CPU (of 16 x 16 weights three blocks of four).
    """
    head, kept = model.get_output_embeddings(), set(getattr(model, "_keep_in_fp32_modules", None) or ())
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear and child is not head and name not in kept and not child.in_features % BLOCK
    ]


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError:
        raise UserError(
            "params.yaml: variants: 'quantize' needs bitsandbytes; run `pip install bitsandbytes`, or remove quantize."
        ) from None
    return bitsandbytes
