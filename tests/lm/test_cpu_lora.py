"""A LoRA layer on the sum of its weights is peft's layer, and every other kind of layer is left to peft."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from peft.tuners import lora

from bench.lm import cpu_lora

ROWS, WIDTH, OUT = 130, 96, 80


class _OneLayer(torch.nn.Module):
    """A model of one linear layer."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(WIDTH, OUT, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def adapted(bias: bool = True, **settings: Any) -> Any:
    """A layer under an adapter that is not at its start, where B is 0."""
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules=["layer"], **({"r": 4, "lora_alpha": 32} | settings))
    model = peft.get_peft_model(_OneLayer(bias), config)  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def passes(model: Any, x: torch.Tensor, merged: bool) -> tuple[list[torch.Tensor], int]:
    """The layer's values and gradients, and how many of its passes ran on the sum."""
    model, x = copy.deepcopy(model), x.detach().clone().requires_grad_()
    torch.manual_seed(1)
    if merged:
        with cpu_lora.merged(), torch.profiler.profile() as profile:
            found = model(x)
        count = sum(event.count for event in profile.key_averages() if event.key == "_LoraLinear")
    else:
        found, count = model(x), 0
    (found * torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [found.detach(), x.grad, *gradients], count  # type: ignore[list-item]


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    """Whether they are equal to the bit."""
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("settings", [{}, {"r": 8, "use_rslora": True}, {"r": 16, "lora_alpha": 1}], ids=str)
@pytest.mark.parametrize("shape", [(ROWS, WIDTH), (2, ROWS // 2, WIDTH)], ids=str)
def test_values_and_gradients_equal_pefts_in_double_precision(
    bias: bool, settings: dict[str, Any], shape: tuple[int, ...]
) -> None:
    model, x = adapted(bias, **settings), torch.randn(shape)
    found, count = passes(model, x, merged=True)
    expected, _ = passes(model.double(), x.double(), merged=False)
    assert count == 1
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}, {"r": WIDTH}],
    ids=["dropout", "DoRA", "bias of B", "so wide that the sum is more work"],
)
def test_what_is_not_plain_lora_is_left_to_peft(settings: dict[str, Any]) -> None:
    model, x = adapted(**settings), torch.randn(40 if settings == {"r": WIDTH} else ROWS, WIDTH)
    (found, count), (expected, _) = passes(model, x, merged=True), passes(model, x, merged=False)
    assert count == 0 and same(found, expected)


def test_dropout_that_is_off_is_plain() -> None:
    model = adapted(lora_dropout=0.5).eval()
    assert passes(model, torch.randn(ROWS, WIDTH), merged=True)[1] == 1


def test_an_adapter_that_is_off_merged_or_one_of_two_is_left_to_peft() -> None:
    x = torch.randn(ROWS, WIDTH)
    off, written, two, tuned, hooked = (adapted() for _ in range(5))
    off.base_model.disable_adapter_layers()
    written.merge_adapter()
    two.add_adapter("second", two.peft_config["default"])
    two.base_model.set_adapter(["default", "second"])
    tuned.base_model.model.layer.base_layer.weight.requires_grad_(True)
    hooked.base_model.model.layer.base_layer.register_forward_hook(lambda module, inputs, output: output + 1)
    for model in (off, written, two, tuned, hooked):
        found, count = passes(model, x, merged=True)
        expected, _ = passes(model, x, merged=False)
        assert count == 0 and same(found, expected)


def test_peft_is_as_it_was_outside_of_the_block() -> None:
    own = lora.Linear.forward
    with pytest.raises(RuntimeError), cpu_lora.merged():
        assert lora.Linear.forward is not own
        raise RuntimeError
    assert lora.Linear.forward is own


def test_what_is_not_trained_through_is_pefts_own() -> None:
    model, x = adapted(), torch.randn(ROWS, WIDTH)
    with torch.no_grad():
        expected = model(x)
        with cpu_lora.merged(), torch.profiler.profile() as profile:
            assert torch.equal(model(x), expected)
    assert not any(event.key == "_LoraLinear" for event in profile.key_averages())
