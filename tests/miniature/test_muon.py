"""The stacked Muon does what torch.optim.Muon does, but for its bfloat16."""

from __future__ import annotations

import pytest
import torch

from bench.miniature.muon import StackedMuon, orthogonal


def test_singular_values_are_drawn_near_one():
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices, 8))
    assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (40, 16)])
def test_steps_agree_with_torchs_muon(shape):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(*shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizers = [StackedMuon([ours], lr=0.1), torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)]
    for _ in range(3):
        gradient = torch.randn(*shape, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert (ours - theirs).norm() < 0.03 * (theirs - start).norm()


def test_stacking_changes_nothing():
    generator = torch.Generator().manual_seed(2)
    starts = [
        torch.randn(12, 12, generator=generator),
        torch.randn(12, 12, generator=generator),
        torch.randn(30, 12, generator=generator),
    ]
    gradients = [torch.randn_like(start) for start in starts]
    together = [torch.nn.Parameter(start.clone()) for start in starts]
    apart = [torch.nn.Parameter(start.clone()) for start in starts]
    for parameter, gradient in zip([*together, *apart], gradients * 2, strict=True):
        parameter.grad = gradient.clone()
    StackedMuon(together, lr=0.1).step()
    for parameter in apart:
        StackedMuon([parameter], lr=0.1).step()
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other)
