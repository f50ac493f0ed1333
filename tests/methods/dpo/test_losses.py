"""The losses of pairs against plain formulas of their papers, and closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from bench.methods.dpo import losses

BETA, GAMMA, KL = 0.7, 0.4, 0.3
POLICY = torch.tensor([[-4.0, -9.0], [-12.0, -3.5], [-6.0, -6.5]])
START = torch.tensor([[-5.0, -8.0], [-11.0, -4.0], [-6.2, -6.0]])
LENGTHS = torch.tensor([[5, 9], [12, 4], [7, 7]])


def sig(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_paper(kind: str, row: int) -> float:
    """One pair, w is wanted, x is not, r is the start."""
    (w, x), (rw, rx), (nw, nx) = POLICY[row].tolist(), START[row].tolist(), LENGTHS[row].tolist()
    if kind == "sigmoid":
        return -math.log(sig(BETA * (w - rw) - BETA * (x - rx)))
    if kind == "length_normalised":
        return -math.log(sig(BETA / nw * (w - rw) - BETA / nx * (x - rx)))
    if kind == "ipo":
        return ((w - rw) / nw - (x - rx) / nx - 1 / (2 * BETA)) ** 2
    if kind == "simpo":
        return -math.log(sig(BETA / nw * w - BETA / nx * x - GAMMA))
    if kind == "orpo":
        p, q = math.exp(w / nw), math.exp(x / nx)
        return -w / nw + BETA * -math.log(sig(math.log((p / (1 - p)) / (q / (1 - q)))))
    return (1 - sig(BETA * ((w - rw) - KL))) + (1 - sig(BETA * (KL - (x - rx))))


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_each_loss_is_its_paper_s(kind: str) -> None:
    pairs = losses.Pairs(POLICY, START, LENGTHS)
    found, margin = losses.LOSSES[kind](pairs, BETA, GAMMA, torch.tensor(KL))
    assert found.tolist() == pytest.approx([by_paper(kind, row) for row in range(3)], rel=1e-5)
    assert margin.shape == (3,)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("sigmoid", math.log(2)), ("length_normalised", math.log(2)), ("ipo", 1 / (4 * BETA**2)), ("kto", 1.0)],
)
def test_at_its_start_a_policy_has_a_loss_that_is_known(kind: str, expected: float) -> None:
    pairs = losses.Pairs(START, START, LENGTHS)
    found, margin = losses.LOSSES[kind](pairs, BETA, 0.0, torch.zeros(()))
    assert found.tolist() == pytest.approx([expected] * 3) and margin.tolist() == pytest.approx([0] * 3)


def test_the_odds_of_a_certain_summary_are_finite() -> None:
    sure = torch.zeros(1, 2, requires_grad=True)
    found, _ = losses.orpo(losses.Pairs(sure, sure, torch.ones(1, 2)), BETA, 0.0, torch.zeros(()))
    found.sum().backward()
    assert torch.isfinite(found).all() and torch.isfinite(sure.grad).all()


def test_kto_is_trl_s() -> None:
    """trl's KTOTrainer on summaries whose log-probabilities are given: a mean over summaries, ours a sum of each pair's two."""
    from collections import defaultdict
    from types import SimpleNamespace

    from trl import KTOTrainer

    policy, start = POLICY.flatten(), START.flatten()  # chosen, rejected, chosen, rejected, ...
    other, other_start = torch.tensor([-3.0, -5.0]), torch.tensor([-3.5, -5.2])
    accelerator = SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda x: x)
    written = SimpleNamespace(
        log_probs=torch.stack([policy / 2, policy / 2], 1), entropy=torch.zeros(6, 2), mean_logits=torch.zeros(6, 2)
    )
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True), accelerator=accelerator, aux_loss_enabled=False, precompute_ref_logps=True,
        calculate_KL=True, loss_type="kto", beta=BETA, desirable_weight=1.0, undesirable_weight=1.0, _tp_size=1,
        _total_train_tokens=0, _metrics={"train": defaultdict(list)}, _compute_kl_logps=lambda model, batch: other,
    )  # fmt: skip
    batch = {
        "label": torch.tensor([True, False] * 3), "input_ids": torch.zeros(6, 3, dtype=torch.long),
        "completion_mask": torch.tensor([[0, 1, 1]] * 6), "attention_mask": torch.ones(6, 3), "ref_logps": start,
        "ref_KL_logps": other_start,
    }  # fmt: skip
    expected = KTOTrainer._compute_loss(trainer, lambda **_: written, batch, False)
    kl = (other - other_start).mean().clamp(min=0)
    found, _ = losses.kto(losses.Pairs(POLICY, START, LENGTHS), BETA, 0.0, kl)
    assert float(found.mean() / 2) == pytest.approx(float(expected), abs=1e-6) and float(kl) > 0
