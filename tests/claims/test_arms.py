"""ARKD's arms and controls, action by action, against their formulas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from arkd.method import Context, Run, Signals, WeightedDivergences
from arkd.methods.arkd_code import CodeAgent
from arkd.methods.replay_figure5 import figure5
from arkd.suite import rows
from arkd.suite.protocol import MethodEntry

RUN = Run(seed=4, steps=10, temperature=2.0)
FEATURES = ("entropy_teacher", "entropy_student", "variance_teacher", "variance_student")


def signals(seed: int = 0, scale: float = 1.0) -> Signals:
    """Random signals of six tokens in two sequences."""
    g = torch.Generator().manual_seed(seed)
    values = torch.rand(9, 6, generator=g) * scale
    return Signals(*values[:7], torch.tensor([0, 0, 1, 1, 1, 1]), *values[7:])


def reinforced(alpha: float, advantage: float) -> float:
    """−log(α)·(r − b) − β_H·H(α) of eqs 16 and 19, with the paper's β_H."""
    entropy = -alpha * math.log(alpha) - (1 - alpha) * math.log(1 - alpha)
    return -math.log(alpha) * advantage - 0.01 * entropy


@dataclass
class Given:
    """Tools over known signals and rewards, which note what they were asked for."""

    measured: Signals = field(default_factory=signals)
    at_other_temperature: Signals | None = None
    rewards: dict[str, float] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def signals(self, *, temperature: float | None = None, gaps: bool = False) -> Signals:
        self.asked.append((temperature, gaps))
        return self.measured if temperature is None else self.at_other_temperature

    def loss_scale(self) -> float:
        return 1.0

    def rouge_l(self, model: str = "student") -> float:
        self.asked.append(model)
        return self.rewards[model]


def method(name: str, **params: Any) -> WeightedDivergences:
    made = rows.build(MethodEntry(name=name, params=params))
    assert isinstance(made, WeightedDivergences)
    return made


def features(s: Signals, tokens: Any = slice(None)) -> torch.Tensor:
    """The six features of some tokens, in the paper's order."""
    names = [*FEATURES, "fkl", "rkl"]
    return torch.stack([getattr(s, f"{name}_N")[tokens].mean() for name in names])[None]


def test_arkd_weighs_by_its_policy_and_logs_what_it_saw() -> None:
    arkd, tools = method("arkd"), Given()
    state: Any = arkd.start(RUN)
    seen = features(tools.measured)
    logit = state.act(seen).detach()
    alpha, fkl, rkl = torch.sigmoid(logit).item(), seen[0, 4].item(), seen[0, 5].item()
    weights = arkd.weights(Context(0, 10, state), tools)
    assert weights.fkl == pytest.approx(alpha)
    assert weights.rkl == pytest.approx(1 - alpha)
    assert weights.log["reward"] == pytest.approx(-(alpha * fkl + (1 - alpha) * rkl))
    assert weights.log["baseline"] == pytest.approx(weights.log["reward"])  # the first reward
    assert weights.log["policy_loss"] == pytest.approx(reinforced(alpha, 0.0))
    assert [weights.log[name] for name in FEATURES] == pytest.approx(seen[0, :4].tolist())
    assert set(weights.log) == {*FEATURES, "reward", "baseline", "policy_loss"}
    assert tools.asked == [(None, False)]  # one sweep, without gaps


def test_the_teachers_baseline_is_what_it_would_earn_itself() -> None:
    arkd, tools = method("arkd", baseline="teacher"), Given()
    state: Any = arkd.start(RUN)
    alpha = state.act(features(tools.measured)).sigmoid().item()
    log = arkd.weights(Context(0, 10, state), tools).log
    assert log["baseline"] == 0.0  # its divergence to itself
    assert log["policy_loss"] == pytest.approx(reinforced(alpha, log["reward"]))


def test_rouge_rewards_come_every_few_steps_and_only_then_is_learnt() -> None:
    arkd = method("arkd", reward="rouge_l", reward_every=2, baseline="teacher")
    tools = Given(rewards={"student": 0.3, "teacher": 0.9})
    state: Any = arkd.start(RUN)
    assert "rewards" in arkd.required
    assert "rewards" not in method("arkd").required
    before = state.act(features(tools.measured)).item()
    assert "reward" not in arkd.weights(Context(0, 10, state), tools).log
    assert state.act(features(tools.measured)).item() == before
    log = arkd.weights(Context(1, 10, state), tools).log
    assert (log["reward"], log["baseline"]) == pytest.approx((0.3, 0.9))
    assert state.act(features(tools.measured)).item() < before  # worse than the teacher: α falls


def test_the_state_may_be_read_at_another_temperature_but_the_reward_may_not() -> None:
    arkd = method("arkd", state_temperature=1.0)
    tools = Given(at_other_temperature=signals(seed=9))
    state: Any = arkd.start(RUN)
    alpha = state.act(features(tools.at_other_temperature)).sigmoid().item()
    weights = arkd.weights(Context(0, 10, state), tools)
    fkl, rkl = features(tools.measured)[0, 4:].tolist()
    assert weights.fkl == pytest.approx(alpha)
    assert weights.log["reward"] == pytest.approx(-(alpha * fkl + (1 - alpha) * rkl))


@pytest.mark.parametrize("name", ["arkd", "arkd_sampled"])
def test_each_sequence_may_have_its_own_weight(name: str) -> None:
    arkd, tools = method(name, granularity="sequence"), Given()
    weights = arkd.weights(Context(0, 10, arkd.start(RUN)), tools)
    alpha_N = torch.as_tensor(weights.fkl)
    assert alpha_N[0] == alpha_N[1] != alpha_N[2]
    assert len(set(alpha_N[2:].tolist())) == 1
    assert torch.equal(torch.as_tensor(weights.rkl), 1 - alpha_N)
    if name == "arkd":
        state: Any = arkd.start(RUN)
        own = [state.act(features(tools.measured, part)) for part in ([0, 1], [2, 3, 4, 5])]
        assert alpha_N[[0, 2]].tolist() == pytest.approx([x.sigmoid().item() for x in own])


def falling(steps: int) -> list[tuple[float, float]]:
    """Forward and reverse KL that fall as in the paper's Figure 6."""
    return [
        (0.078 + 0.172 * math.exp(-4 * s / steps), 0.035 + 0.019 * math.exp(-4 * s / steps))
        for s in range(steps)
    ]


@pytest.mark.parametrize(("first", "direction"), [("first_reward", 1), ("zero", -1)])
def test_alpha_follows_the_closed_form_of_equation_16(first: str, direction: int) -> None:
    """From the first reward α rises as long as the loss falls; from zero it is punished at first.

    The closed form: −(r − b)(1 − α) − β_H·α(1 − α)·ln((1 − α)/α), on the logit of α.
    """
    arkd = method("arkd", first_baseline=first)
    state: Any = arkd.start(RUN)
    fixed = features(signals())
    at_fixed, slopes = [state.act(fixed).item()], []
    for step, (fkl, rkl) in enumerate(falling(40)):
        base = signals()
        seen = replace(base, fkl_N=torch.full((6,), fkl), rkl_N=torch.full((6,), rkl))
        weights = arkd.weights(Context(step, 40, state), Given(seen))
        alpha, log = float(weights.fkl), weights.log
        at_fixed.append(state.act(fixed).item())
        entropy = 0.01 * alpha * (1 - alpha) * math.log((1 - alpha) / alpha)
        slopes.append(-(log["reward"] - log["baseline"]) * (1 - alpha) - entropy)
    assert all(math.copysign(1, -slope) == direction for slope in slopes[5:])
    moves = [b - a for a, b in pairwise(at_fixed)][6:]
    assert all(math.copysign(1, move) == direction for move in moves)


def test_a_correct_gradient_prefers_the_smaller_divergence_whatever_the_baseline() -> None:
    """The same falling losses: reverse KL is the smaller one, and α falls in expectation."""
    for estimator in ("score", "pathwise"):
        arkd = method("arkd_sampled", estimator=estimator, policy_lr=1e-3)
        state: Any = arkd.start(RUN)
        first = last = 0.0
        for step, (fkl, rkl) in enumerate(falling(600)):
            base = signals()
            seen = replace(base, fkl_N=torch.full((6,), fkl), rkl_N=torch.full((6,), rkl))
            last = arkd.weights(Context(step, 600, state), Given(seen)).log["policy_alpha"]
            first = first or last
        assert last < first - 0.02, estimator


def stored(credit: str, entropy: str) -> CodeAgent:
    """An agent with four actions and two rewards in store."""
    code = method("arkd_code", credit=credit, entropy=entropy)
    agent = code.start(RUN)
    assert isinstance(agent, CodeAgent)
    agent.features = [[0.1 * i + 0.01 * j for j in range(10)] for i in range(4)]
    agent.actions, agent.windows, agent.rewards = [1, 0, 1, 1], [0, 0, 1, 1], [0.2, -0.1]
    return agent


@pytest.mark.parametrize("credit", ["window", "first_actions"])
@pytest.mark.parametrize("entropy", ["coin", "taken_action"])
def test_the_codes_loss_is_its_own_formula(credit: str, entropy: str) -> None:
    agent = stored(credit, entropy)
    with torch.no_grad():
        alpha = agent.net(torch.tensor(agent.features)).squeeze(-1).sigmoid().double().numpy()
    taken = np.where(np.array(agent.actions) == 1, alpha, 1 - alpha)
    raw = np.array([0.2 + 0.99 * -0.1, -0.1])
    returns = (raw - raw.mean()) / (raw.std(ddof=1) + 1e-9)
    assert agent.returns() == pytest.approx(returns.tolist())
    if credit == "window":
        policy = -(np.log(taken) * returns[[0, 0, 1, 1]]).mean()
    else:
        policy = -(np.log(taken[:2]) * returns).sum()
    coin = -(alpha * np.log(alpha) + (1 - alpha) * np.log(1 - alpha)).mean()
    bonus = coin if entropy == "coin" else -(taken * np.log(taken)).sum()
    assert agent.loss().item() == pytest.approx(policy - 0.01 * bonus, abs=1e-6)


def test_the_codes_batches_are_pure_and_weighted_by_the_head_ratio() -> None:
    code = method("arkd_code", reward_every=2, rewards_an_update=2)
    tools = Given(rewards={"student": 0.75})
    agent: Any = code.start(RUN)
    s = tools.measured
    assert s.head_gap_N is not None
    assert s.tail_gap_N is not None
    head_N = s.head_gap_N / (s.head_gap_N + s.tail_gap_N)
    for step in range(4):
        weights = code.weights(Context(step, 9, agent), tools)
        action = weights.log["alpha"]
        assert action in (0.0, 1.0)
        assert torch.allclose(torch.as_tensor(weights.fkl), action * head_N)
        assert torch.allclose(torch.as_tensor(weights.rkl), (1 - action) * head_N)
        if step == 1:
            assert weights.log["reward"] == 0.25  # ROUGE-L − 0.5
            assert agent.windows == [0, 0]
            seen = [1 * 3 / 9 // 1 / 3, 1 * 3 / 9 % 1, (head_N * s.fkl_N).mean().item()]
            assert agent.features[1][:3] == pytest.approx(seen)
            seen = [(head_N * s.rkl_N).mean().item(), head_N.mean().item()]
            seen += [1 - head_N.mean().item(), s.nll_N.mean().item(), 0, 0, 0]
            assert agent.features[1][3:] == pytest.approx(seen)
    assert "policy_loss" in weights.log
    assert agent.actions == []


def test_the_controls_do_what_they_say() -> None:
    tools = Given()
    drawn = method("random_alpha")
    state = drawn.start(RUN)
    draws = [float(drawn.weights(Context(step, 2000, state), tools).fkl) for step in range(2000)]
    assert np.mean(draws) == pytest.approx(0.5, abs=0.03)
    assert np.var(draws) == pytest.approx(1 / 12, abs=0.006)
    assert method("static_018").weights(Context(3, 9), tools).fkl == 0.18
    frozen, arkd = method("frozen_policy"), method("arkd")
    state, own = frozen.start(RUN), arkd.start(RUN)
    first = arkd.weights(Context(0, 9, own), tools).fkl
    assert [frozen.weights(Context(i, 9, state), tools).fkl for i in (0, 5)] == [first, first]


def test_schedules_meet_their_ends_and_the_figure() -> None:
    tools = Given()
    down, up, figure = (method(n) for n in ("linear_dec", "linear_inc", "replay_figure5"))
    assert [down.weights(Context(i, 5), tools).fkl for i in range(5)] == [1, 0.75, 0.5, 0.25, 0]
    assert [up.weights(Context(i, 5), tools).fkl for i in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    read = dict(figure5())
    for step in (0, 200, 1000, 2500, 4800):  # 49 steps of 100
        assert figure.weights(Context(step // 100, 49), tools).fkl == pytest.approx(read[step])
    assert figure.weights(Context(1, 49), tools).fkl == pytest.approx((0.50 + 0.565) / 2)


def test_a_replayed_run_gives_its_own_alpha_step_by_step() -> None:
    replay = method("replay_alpha", fitted_on="first")
    assert replay.replays == "arkd@split=first"
    assert method("replay_alpha").replays == "arkd"
    alphas = (0.5, 0.52, 0.47)
    state = replay.start(Run(1, 3, 2.0, alphas))
    for step, alpha in enumerate(alphas):
        weights = replay.weights(Context(step, 3, state), Given())
        assert (weights.fkl, weights.rkl) == (alpha, 1 - alpha)
    with pytest.raises(ValueError, match="arkd@split=first: 3 values of α for 4 steps"):
        replay.start(Run(1, 4, 2.0, alphas))


def test_greedy_takes_the_smaller_divergence() -> None:
    low, high = torch.full((6,), 0.1), torch.full((6,), 0.2)
    for fkl, rkl, alpha in ((low, high, 1.0), (high, low, 0.0), (low, low, 0.0)):
        seen = replace(signals(), fkl_N=fkl, rkl_N=rkl)
        assert method("greedy_min").weights(Context(0, 9), Given(seen)).fkl == alpha
