"""ARKD's agent against the closed forms of its paper."""

from __future__ import annotations

import json
import math

import pytest
import torch

from arkd.method import Signals
from arkd.methods._policy import PolicyAgent, PolicyNet, Units, policy_loss, score_loss
from arkd.training.checkpoint import flatten, restore

S1 = torch.tensor([[2.0, 1.0, 0.1, 0.2, 0.5, 0.4]])


def agent(**changes: object) -> PolicyAgent:
    """An agent with the paper's settings."""
    return PolicyAgent(**({"seed": 1, "lr": 1e-4, "gamma": 0.99} | changes))  # type: ignore[arg-type]


def learn(policy: PolicyAgent, reward: float) -> float:
    """One round of Algorithm 1 with a given reward; return the policy's loss."""
    logit = policy.act(S1)
    return policy.learn(policy_loss(logit, reward - policy.baseline_for(reward), 0.01))


def signals(n: int, sequence: list[int], seed: int = 0) -> Signals:
    """Random signals of n tokens."""
    g = torch.Generator().manual_seed(seed)
    return Signals(*torch.rand(7, n, generator=g), torch.tensor(sequence))


def test_the_network_has_525_parameters() -> None:
    assert sum(p.numel() for p in PolicyNet().parameters()) == 525


@pytest.mark.parametrize("logit", [-2.0, -0.3, 0.0, 1.1])
@pytest.mark.parametrize("advantage", [-0.8, 0.0, 0.5])
def test_loss_and_gradient_follow_equations_16_and_19(logit: float, advantage: float) -> None:
    z = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    loss = policy_loss(z, advantage, 0.01)
    loss.backward()
    alpha = 1 / (1 + math.exp(-logit))
    entropy = -alpha * math.log(alpha) - (1 - alpha) * math.log(1 - alpha)
    assert loss.item() == pytest.approx(-math.log(alpha) * advantage - 0.01 * entropy, abs=1e-12)
    slope = -advantage * (1 - alpha) - 0.01 * alpha * (1 - alpha) * math.log((1 - alpha) / alpha)
    assert z.grad.item() == pytest.approx(slope, abs=1e-12)


@pytest.mark.parametrize(("reward", "direction"), [(-0.5, 1), (-3.0, -1)])
def test_alpha_rises_when_the_reward_beats_the_baseline_and_falls_otherwise(
    reward: float, direction: int
) -> None:
    policy = agent(lr=1e-2)
    learn(policy, -1.0)  # the first reward becomes the baseline
    before = policy.act(S1).item()
    for _ in range(5):
        learn(policy, reward)
    assert math.copysign(1, policy.act(S1).item() - before) == direction


def test_the_baseline_moves_before_or_after_the_advantage_is_taken() -> None:
    after, before = agent(), agent(advantage="before")
    moved = 0.99 * -2.0 + 0.01 * -1.0
    for policy, taken in ((after, moved), (before, -2.0)):
        assert policy.baseline_for(-2.0) == -2.0
        assert policy.baseline_for(-1.0) == pytest.approx(taken)
        assert policy.baseline == pytest.approx(moved)


def test_a_zero_baseline_first_punishes() -> None:
    policy = agent(first_baseline="zero", lr=1e-2)
    before = policy.act(S1).item()
    learn(policy, -1.0)
    assert policy.baseline == pytest.approx(-0.01)
    assert policy.act(S1).item() < before


def test_the_sampled_estimator_is_unbiased() -> None:
    """Its mean over draws is the gradient of the expected reward, by quadrature (float64)."""
    mean, spread, fkl, rkl = 0.3, 0.5, 0.7, 1.9

    def reward(x: torch.Tensor) -> torch.Tensor:
        return -(torch.sigmoid(x) * fkl + torch.sigmoid(-x) * rkl)

    grid = torch.linspace(-8, 8, 40001, dtype=torch.float64)
    density = torch.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    a = torch.sigmoid(mean + spread * grid)
    exact = torch.trapezoid(density * (rkl - fkl) * a * (1 - a), grid).item()  # d E[r] / d mean
    draws = torch.randn(400_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = torch.full_like(draws, mean, requires_grad=True)
    actions = z + spread * draws
    r = reward(actions).detach()
    score_loss(z, actions, spread, r - r.mean(), 0.0).backward()
    noise = 4 * (z.grad * len(draws)).std().item() / math.sqrt(len(draws))
    assert -z.grad.sum().item() == pytest.approx(exact, abs=noise)
    assert noise < 0.05 * exact


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [("batch", [[2.5]]), ("sequence", [[1.0], [3.25]]), ("token", [[0.0], [2.0], [3.5], [4.5]])],
)
def test_units_average_over_their_own_tokens(granularity: str, expected: list) -> None:
    some = signals(4, [0, 0, 1, 1])
    values = torch.tensor([0.0, 2.0, 3.5, 4.5])
    if granularity == "sequence":
        values = torch.tensor([0.0, 2.0, 2.0, 4.5])
    units = Units.of(some, granularity)  # type: ignore[arg-type]
    assert units.mean(values).tolist() == [row[0] for row in expected]
    assert units.state(some).shape == (len(expected), 6)
    assert units.state(some).mean(0)[4].item() == pytest.approx(some.fkl_N.mean().item())


def test_a_saved_agent_goes_on_as_if_never_stopped() -> None:
    straight, stopped = agent(), agent()
    for reward in (-1.0, -0.8):
        learn(straight, reward)
        learn(stopped, reward)
    resumed = agent(seed=99)
    tensors: dict = {}
    saved = json.loads(json.dumps(flatten(stopped.state_dict(), tensors)))
    resumed.load_state_dict(restore(saved, tensors))
    for reward in (-0.7, -0.9):
        learn(straight, reward)
        learn(resumed, reward)
    assert resumed.act(S1).item() == straight.act(S1).item()
    assert resumed.baseline == straight.baseline


def test_weights_depend_on_the_seed_and_leave_other_draws_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, again = agent(seed=1), agent(seed=2), agent(seed=1)
    assert torch.rand(1) == expected
    assert first.act(S1) == again.act(S1)
    assert first.act(S1) != second.act(S1)
