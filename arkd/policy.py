"""ARKD's agent: the policy network, its update and its baseline (arXiv 2606.29869, section 3)."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

FEATURES = (
    "entropy_teacher",
    "entropy_student",
    "variance_teacher",
    "variance_student",
    "fkl",
    "rkl",
)


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

    def forward(self, state_6: Tensor) -> Tensor:
        """Return the logit of α, a scalar; α is its sigmoid."""
        logit: Tensor = self.layers(state_6).squeeze(-1)
        return logit


def policy_loss(logit: Tensor, advantage: float, entropy_weight: float) -> Tensor:
    """Return −log(α)·(r − b) − β_H·H(α) with H the binary entropy (eqs 16 and 19), literally.

    α is not sampled, so this is no score-function estimator: its gradient on the logit,
    −(r − b)(1 − α) − β_H·α(1 − α)·log((1 − α)/α), raises α whenever r > b.
    """
    log_alpha, log_rest = nn.functional.logsigmoid(logit), nn.functional.logsigmoid(-logit)
    entropy = -(log_alpha.exp() * log_alpha + log_rest.exp() * log_rest)
    return -log_alpha * advantage - entropy_weight * entropy


class PolicyAgent:
    """Chooses α for a batch and learns from the batch's own reward (Algorithm 1)."""

    def __init__(
        self,
        *,
        seed: int,
        lr: float,
        gamma: float,
        entropy_weight: float,
        first_baseline: Literal["first_reward", "zero"],
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = PolicyNet()
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr)
        self.gamma = gamma
        self.entropy_weight = entropy_weight
        self.baseline = math.nan if first_baseline == "first_reward" else 0.0

    def act(self, state_6: Tensor) -> Tensor:
        """Return the logit of α for a state, with gradient on the policy."""
        logit: Tensor = self.net(state_6)
        return logit

    def learn(self, logit: Tensor, reward: float) -> float:
        """Update the baseline, then the policy; return the policy's loss.

        Algorithm 1 moves the baseline before it takes the advantage: b ← γb + (1 − γ)r, then r − b.
        """
        if math.isnan(self.baseline):
            self.baseline = reward
        self.baseline = self.gamma * self.baseline + (1 - self.gamma) * reward
        loss = policy_loss(logit, reward - self.baseline, self.entropy_weight)
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
