"""Packed layers give what plain ones give, whatever the number of rows, and leave the model as it was."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.lm import prepack


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(48, 96), torch.nn.GELU(), torch.nn.Linear(96, 33, bias=False)
    ).requires_grad_(False)


@pytest.mark.parametrize("shape", [(1, 48), (7, 48), (3, 5, 48), (64, 48)])
def test_packed_layers_equal_a_product_in_double_precision(model: torch.nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    exact = copy.deepcopy(model).double()(x.double())
    with prepack.prepacked(model):
        found = model(x)
    assert torch.allclose(found.double(), exact, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch has no oneDNN")
def test_layers_are_packed_within_the_block_alone(model: torch.nn.Module) -> None:
    called = []
    plain = torch.nn.Linear.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Linear, "forward", lambda self, x: called.append(self) or plain(self, x))
        with prepack.prepacked(model):
            model(torch.randn(2, 48))
        assert not called
        model(torch.randn(2, 48))
        assert len(called) == 2


def test_a_block_that_fails_leaves_the_model_as_it_was(model: torch.nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), prepack.prepacked(model):
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in model.modules())


def test_weights_that_changed_are_packed_anew(model: torch.nn.Module) -> None:
    x = torch.randn(4, 48)
    with prepack.prepacked(model):
        before = model(x)
    model[0].weight.data.mul_(2.0)
    with prepack.prepacked(model):
        after = model(x)
    assert not torch.allclose(before, after)
    assert torch.allclose(after, model(x), atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch has no oneDNN")
def test_a_block_within_a_block_leaves_the_outer_one_packed(model: torch.nn.Module) -> None:
    with prepack.prepacked(model):
        with prepack.prepacked(model):
            pass
        assert "forward" in vars(model[0])
    assert "forward" not in vars(model[0])
