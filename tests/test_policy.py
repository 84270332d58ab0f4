"""ARKD's agent against the closed forms of its paper."""

from __future__ import annotations

import math

import pytest
import torch

from arkd.policy import PolicyAgent, PolicyNet, policy_loss


def agent(**changes: object) -> PolicyAgent:
    """An agent with the paper's settings."""
    settings: dict = {"seed": 1, "lr": 1e-4, "gamma": 0.99, "entropy_weight": 0.01}
    return PolicyAgent(**(settings | {"first_baseline": "first_reward"} | changes))


def test_the_network_has_525_parameters() -> None:
    assert sum(p.numel() for p in PolicyNet().parameters()) == 525


@pytest.mark.parametrize("logit", [-2.0, -0.3, 0.0, 1.1])
@pytest.mark.parametrize("advantage", [-0.8, 0.0, 0.5])
def test_loss_and_gradient_follow_equations_16_and_19(logit: float, advantage: float) -> None:
    z = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
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
    state = torch.tensor([2.0, 1.0, 0.1, 0.2, 0.5, 0.4])
    policy.learn(policy.act(state), -1.0)  # the first reward becomes the baseline
    before = policy.act(state).item()
    for _ in range(5):
        policy.learn(policy.act(state), reward)
    assert math.copysign(1, policy.act(state).item() - before) == direction


def test_baseline_moves_before_the_advantage_is_taken() -> None:
    policy = agent()
    state = torch.ones(6)
    policy.learn(policy.act(state), -2.0)
    assert policy.baseline == -2.0
    logit = policy.act(state)
    loss = policy.learn(logit, -1.0)
    moved = 0.99 * -2.0 + 0.01 * -1.0
    assert policy.baseline == pytest.approx(moved)
    expected = policy_loss(logit.detach(), -1.0 - moved, 0.01)
    assert loss == pytest.approx(expected.item(), abs=1e-7)


def test_a_zero_baseline_first_punishes() -> None:
    policy = agent(first_baseline="zero", lr=1e-2)
    state = torch.tensor([2.0, 1.0, 0.1, 0.2, 0.5, 0.4])
    before = policy.act(state).item()
    policy.learn(policy.act(state), -1.0)
    assert policy.baseline == pytest.approx(-0.01)
    assert policy.act(state).item() < before


def test_a_saved_agent_goes_on_as_if_never_stopped() -> None:
    state = torch.tensor([2.0, 1.0, 0.1, 0.2, 0.5, 0.4])
    straight, stopped = agent(), agent()
    for reward in (-1.0, -0.8):
        straight.learn(straight.act(state), reward)
        stopped.learn(stopped.act(state), reward)
    resumed = agent(seed=99)
    resumed.load_state_dict(stopped.state_dict())
    for reward in (-0.7, -0.9):
        straight.learn(straight.act(state), reward)
        resumed.learn(resumed.act(state), reward)
    assert resumed.act(state).item() == straight.act(state).item()
    assert resumed.baseline == straight.baseline


def test_weights_depend_on_the_seed_and_leave_other_draws_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, again = agent(seed=1), agent(seed=2), agent(seed=1)
    assert torch.rand(1) == expected
    state = torch.tensor([2.0, 1.0, 0.1, 0.2, 0.5, 0.4])
    assert first.act(state) == again.act(state)
    assert first.act(state) != second.act(state)
