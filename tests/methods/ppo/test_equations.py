"""The equations of PPO against trl 0.11.4's recorded arithmetic, naive loops and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.methods.ppo import equations
from bench.training.rollouts import AdaptiveKL, kl_penalty

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle" / "ppo_trl_0_11_4.npz"
needs_oracle = pytest.mark.skipif(
    not ORACLE.exists(), reason="the recorded oracle ../shared/oracle is not on this machine"
)


def close(ours: torch.Tensor, theirs: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=tolerance, rtol=1e-4)


@needs_oracle
@pytest.mark.parametrize("kind", ("kl", "abs", "mse", "full"))
@pytest.mark.parametrize("i", range(6))
def test_agrees_with_trl(kind: str, i: int) -> None:
    with np.load(ORACLE, allow_pickle=False) as stored:
        case = {
            key.removeprefix(f"{i}/"): torch.as_tensor(stored[key]) for key in stored.files if key.startswith(f"{i}/")
        }
    mask, labels = case["mask"].float(), case["labels"].long()

    def chosen(logits: torch.Tensor) -> torch.Tensor:
        return logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

    full = kind == "full"
    new, old, reference = (case[key] for key in ("logits", "old_logits", "ref_logits"))
    kl = kl_penalty(
        kind,
        old.log_softmax(-1) if full else chosen(old),
        reference.log_softmax(-1) if full else chosen(reference),
    )
    rewards = equations.token_rewards(case["scores"], kl, mask, float(case["kl_coef"]))
    advantage, returns = equations.advantages(rewards, case["values"], mask, 1.0, 0.95, bool(case["whiten_rewards"]))
    loss = equations.losses(
        chosen(new), chosen(old), case["vpreds"], case["values"] * mask, advantage, returns, mask, 0.2, 0.2
    )
    close(kl, case[f"{kind}/kl"].numpy())
    close(rewards, case[f"{kind}/rewards"].numpy())
    close(advantage, case[f"{kind}/adv"].numpy())
    close(returns, case[f"{kind}/ret"].numpy(), 2e-5)
    close(loss.policy, case[f"{kind}/pg"].numpy())
    close(0.1 * loss.value, case[f"{kind}/vf"].numpy())
    close(torch.tensor(loss.approx_kl), case[f"{kind}/approxkl"].numpy())
    close(torch.tensor(loss.clip_fraction), case[f"{kind}/clip"].numpy())
    close(torch.tensor(loss.value_clip_fraction), case[f"{kind}/vclip"].numpy())
    close(equations.masked_mean(equations.entropy(new), mask), case[f"{kind}/ent"].numpy())


def test_advantages_are_the_discounted_sum_of_td_errors() -> None:
    rng = torch.Generator().manual_seed(1)
    rewards, values = torch.randn(3, 6, generator=rng), torch.randn(3, 6, generator=rng)
    mask = torch.ones(3, 6)
    gamma, lam = 0.9, 0.8
    expected = torch.zeros(3, 6)
    for b in range(3):
        for t in range(6):
            for k in range(t, 6):
                after = values[b, k + 1] if k < 5 else 0.0
                expected[b, t] += (gamma * lam) ** (k - t) * (rewards[b, k] + gamma * after - values[b, k])
    white, returns = equations.advantages(rewards, values, mask, gamma, lam)
    torch.testing.assert_close(returns, expected + values)
    torch.testing.assert_close(white, (expected - expected.mean()) / expected.std())


def test_score_lands_on_the_last_generated_token() -> None:
    mask = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1]])
    rewards = equations.token_rewards(torch.tensor([5.0, 7.0]), torch.ones(2, 4) * mask, mask, 0.5)
    assert rewards.tolist() == [[-0.5, 4.5, 0, 0], [-0.5, -0.5, -0.5, 6.5]]


def test_exact_kl_is_the_closed_form_and_sampled_kl_agrees_on_average() -> None:
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    exact = kl_penalty("full", p.log(), q.log())
    assert exact.item() == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    both = kl_penalty("kl", p.log(), q.log())
    assert (p * both).sum().item() == pytest.approx(exact.item())


def test_first_ratio_has_no_clipping_and_the_plain_gradient() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    mask, advantage = torch.ones(1, 2), torch.tensor([[1.0, -1.0]])
    loss = equations.losses(
        logprobs, logprobs.detach(), torch.zeros(1, 2), torch.zeros(1, 2), advantage, torch.zeros(1, 2), mask, 0.2, 0.2
    )
    loss.policy.backward()
    assert loss.clip_fraction == 0 and loss.approx_kl == 0
    assert logprobs.grad is not None and logprobs.grad.tolist() == [[-0.5, 0.5]]


def test_entropy_of_a_uniform_choice_is_log_n() -> None:
    assert equations.entropy(torch.zeros(1, 1, 8)).item() == pytest.approx(np.log(8))


def test_adaptive_coefficient_moves_towards_the_target_and_no_faster() -> None:
    kl = AdaptiveKL(0.2, target=6.0, horizon=100)
    kl.update(60.0, 10)
    assert kl.coefficient == pytest.approx(0.2 * (1 + 0.2 * 10 / 100))
    kl.update(0.0, 10)
    assert kl.coefficient == pytest.approx(0.2 * 1.02 * 0.98)
    fixed = AdaptiveKL(0.2, target=None, horizon=100)
    fixed.update(60.0, 10)
    assert fixed.coefficient == 0.2
