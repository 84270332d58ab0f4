"""ARKD's agent: the policy network, its update and its baseline (arXiv 2606.29869, section 3).

Shapes: N response tokens, U units that an action covers: the batch, its sequences or its tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from arkd.method import Signals
from arkd.seeding import derive_seed

FEATURES = (
    "entropy_teacher",
    "entropy_student",
    "variance_teacher",
    "variance_student",
    "fkl",
    "rkl",
)
Granularity = Literal["batch", "sequence", "token"]


class PolicyNet(nn.Module):
    """State of six features → α in (0, 1): LayerNorm, 6→64, ReLU, 64→1, sigmoid (Table 3).

    525 parameters.
    """

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(len(FEATURES)),
            nn.Linear(len(FEATURES), hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, state_U6: Tensor) -> Tensor:
        """Return the logit of α of each unit [U]; α is its sigmoid."""
        logit_U: Tensor = self.layers(state_U6).squeeze(-1)
        return logit_U


@dataclass(frozen=True)
class Units:
    """Which of U units each of N tokens belongs to."""

    unit_N: Tensor
    n: int

    @classmethod
    def of(cls, signals: Signals, granularity: Granularity) -> Units:
        """Divide a batch's tokens into the units that one action covers."""
        if granularity == "token":
            return cls(torch.arange(len(signals.fkl_N)), len(signals.fkl_N))
        if granularity == "sequence":
            sequence_N = signals.sequence_N.cpu()
            return cls(sequence_N, int(sequence_N.max()) + 1)
        return cls(torch.zeros(len(signals.fkl_N), dtype=torch.int64), 1)

    def mean(self, values_N: Tensor) -> Tensor:
        """Return the mean over each unit's tokens [U]."""
        values_N = values_N.cpu()
        if self.n == 1:
            return values_N.mean()[None]
        sums_U = values_N.new_zeros(self.n).index_add_(0, self.unit_N, values_N)
        return sums_U / torch.bincount(self.unit_N, minlength=self.n)

    def state(self, signals: Signals) -> Tensor:
        """Return the six features of each unit [U, 6]."""
        return torch.stack([self.mean(getattr(signals, f"{name}_N")) for name in FEATURES], -1)


def binary_entropy(logit_U: Tensor) -> Tensor:
    """Entropy of a coin with probability sigmoid(logit), in nats (eq 19)."""
    log_a, log_b = nn.functional.logsigmoid(logit_U), nn.functional.logsigmoid(-logit_U)
    return -(log_a.exp() * log_a + log_b.exp() * log_b)


def policy_loss(logit_U: Tensor, advantage_U: Tensor | float, entropy_weight: float) -> Tensor:
    """Return −log(α)·(r − b) − β_H·H(α), mean over units (eqs 16 and 19), literally.

    α is not sampled, so this is no score-function estimator: its gradient on the logit,
    −(r − b)(1 − α) − β_H·α(1 − α)·log((1 − α)/α), raises α whenever r > b.
    """
    log_alpha_U = nn.functional.logsigmoid(logit_U)
    return (-log_alpha_U * advantage_U - entropy_weight * binary_entropy(logit_U)).mean()


def score_loss(
    mean_U: Tensor, action_U: Tensor, spread: float, advantage_U: Tensor, entropy_weight: float
) -> Tensor:
    """Return a loss whose gradient is the score-function estimator of −E[r] for a normal action.

    The action x ~ N(mean, spread²) was drawn; −log N(x)·(r − b) has the gradient
    −(r − b)·(x − mean)/spread² on the mean. The entropy bonus is the paper's, at the mean action.

    Args:
        mean_U: Mean of each unit's action, on the logit scale, differentiable in the network.
        action_U: The action that was drawn; no gradient goes through it.
        spread: Standard deviation of the draws.
        advantage_U: r − b of each unit.
        entropy_weight: β_H, of the entropy bonus.
    """
    log_density_U = -((action_U.detach() - mean_U) ** 2) / (2 * spread**2)
    return (-log_density_U * advantage_U - entropy_weight * binary_entropy(mean_U)).mean()


class PolicyAgent:
    """A policy network with its optimiser and its moving baseline.

    Args:
        seed: Of the run; the network's weights and the agent's draws derive from it.
        lr: Adam's rate.
        gamma: Share of the old baseline that is kept at an update.
        first_baseline: Where the moving baseline starts: at the first reward or at 0.
        advantage: Whether a reward is held against the baseline `after` or `before` the update.
    """

    def __init__(
        self,
        *,
        seed: int,
        lr: float = 1e-4,
        gamma: float = 0.99,
        first_baseline: Literal["first_reward", "zero"] = "first_reward",
        advantage: Literal["after", "before"] = "after",
    ) -> None:
        self.seed = derive_seed("policy", seed)  # of the network; an agent's draws derive from it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = PolicyNet()
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.gamma = gamma
        self.advantage = advantage
        self.baseline = math.nan if first_baseline == "first_reward" else 0.0

    def act(self, state_U6: Tensor) -> Tensor:
        """Return the logit of α for each state [U], with gradient on the policy."""
        logit_U: Tensor = self.net(state_U6)
        return logit_U

    def baseline_for(self, reward: float) -> float:
        """Move the baseline, b ← γb + (1 − γ)r, and return the one that the advantage takes.

        Algorithm 1 moves it before it takes the advantage; `advantage="before"` takes the old one.
        """
        old = reward if math.isnan(self.baseline) else self.baseline
        self.baseline = self.gamma * old + (1 - self.gamma) * reward
        return self.baseline if self.advantage == "after" else old

    def learn(self, loss: Tensor) -> float:
        """Descend a policy loss by one step of Adam; return its value."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        return {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "baseline": self.baseline,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.baseline = state["baseline"]
