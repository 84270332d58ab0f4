"""ARKD's policies once more, in float64, from the equations of its paper (arXiv 2606.29869).

What they start from is the method's: which numbers a seed gives is no equation. What follows from
it is theirs: features, action, reward, baseline, and each step of Adam.

Shapes: N response tokens, U units that an action covers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from arkd.conformance.case import Case
from arkd.conformance.formulas import at_one, cross_entropy, head_share, kl, to_go

HALF = math.sqrt(0.5)


class Policy:
    """A network of the weights that a method starts with, in float64, with Adam (1412.6980)."""

    def __init__(self, net: Mapping[str, Tensor], rate: float) -> None:
        self.parameters = [x.detach().double().clone().requires_grad_() for x in net.values()]
        self.moments = [(torch.zeros_like(x), torch.zeros_like(x)) for x in self.parameters]
        self.rate = rate
        self.updates = 0
        self.baseline: float | None = None
        self.kept: list[Any] = []

    @classmethod
    def of(cls, case: Case) -> Policy:
        """Return the run's policy, made at its first step."""
        memory = case.notes.memory
        if "policy" not in memory:
            memory["policy"] = cls(case.notes.start["net"], case.params.get("policy_lr", 0.0))
        found: Policy = memory["policy"]
        return found

    def logit(self, x: Tensor) -> Tensor:
        """Return what the sigmoid takes: the layers in order, ReLU between the linear ones."""
        layers = list(zip(self.parameters[::2], self.parameters[1::2], strict=True))
        for place, (weight, bias) in enumerate(layers):
            if weight.ndim == 1:
                centred = x - x.mean(-1, keepdim=True)
                x = (
                    centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight
                    + bias
                )
            else:
                x = x @ weight.T + bias
                x = x.clamp_min(0) if place < len(layers) - 1 else x
        return x.squeeze(-1)

    def descend(self, loss: Tensor) -> None:
        """Take one step of Adam: β₁ 0.9, β₂ 0.999, ε 1e-8."""
        self.updates += 1
        gradients = torch.autograd.grad(loss, self.parameters)
        for x, g, (m, v) in zip(self.parameters, gradients, self.moments, strict=True):
            m.mul_(0.9).add_(0.1 * g)
            v.mul_(0.999).add_(0.001 * g**2)
            slope = m / (1 - 0.9**self.updates)
            size = (v / (1 - 0.999**self.updates)).sqrt() + 1e-8
            x.data -= self.rate * slope / size

    def advantage(self, case: Case, reward_U: Tensor, *, after: bool) -> Tensor:
        """Return r − b of each unit and move b ← γ·b + (1 − γ)·r.

        Args:
            case: Whose parameters say what the baseline is.
            reward_U: r of each unit.
            after: Whether b is taken after it has moved, the step's own reward within it.
        """
        mean = float(reward_U.detach().mean())
        if case.baseline == "teacher":
            teachers = case.measured.get("teacher", [0.0])  # under eq 8 its own reward is 0
            baseline = teachers[-1]
        else:
            before = self.baseline
            if before is None:
                before = mean if case.first_baseline == "first_reward" else 0.0
            self.baseline = case.gamma * before + (1 - case.gamma) * mean
            baseline = self.baseline if after else before
        case.notes.log |= {"reward": mean, "baseline": baseline}
        return reward_U.detach() - baseline


def entropy(logit: Tensor) -> Tensor:
    """Entropy of a coin with probability sigmoid(logit), eq 19."""
    a = torch.sigmoid(logit)
    return -a * a.log() - (1 - a) * (1 - a).log()


def units(case: Case) -> Tensor:
    """Return which unit each token belongs to [N]: of the batch, of its sequence or of itself."""
    n = len(case.labels_N)
    named = {"batch": torch.zeros(n, dtype=torch.int64), "sequence": case.sequence_N}
    return named.get(case.params.get("granularity", "batch"), torch.arange(n))


def means(values_N: Tensor, unit_N: Tensor) -> Tensor:
    """Return the mean of each unit's tokens [U]."""
    return torch.stack([values_N[unit_N == u].mean() for u in unit_N.unique().tolist()])


def features(case: Case, unit_N: Tensor) -> Tensor:
    """The state of each unit [U, 6]: both entropies, both variances, both divergences."""
    p, q = case.p_NV, case.q_NV.detach()
    columns = [-(x * x.log()).sum(-1) for x in (p, q)]
    columns += [x.var(-1, correction=0) for x in (p, q)]
    columns += [kl(p, q), kl(q, p)]
    return torch.stack([means(column, unit_N) for column in columns], -1)


def rewards(case: Case, unit_N: Tensor, alpha_U: Tensor) -> Tensor:
    """r = −L of each unit [U], differentiable in α. Eq 8."""
    p, q = case.p_NV, case.q_NV.detach()
    fkl_U, rkl_U = (means(case.loss_scale * kl(*pair), unit_N) for pair in ((p, q), (q, p)))
    return -(alpha_U * fkl_U + (1 - alpha_U) * rkl_U)


def stated(case: Case) -> tuple[Tensor, Tensor]:
    """α = π(s) as the paper has it: L_π = −log α·(r − b) − β_H·H(α), eqs 16 and 19."""
    policy, unit_N = Policy.of(case), units(case)
    logit_U = policy.logit(features(case, unit_N))
    alpha_U = torch.sigmoid(logit_U.detach())
    case.notes.log = {}
    reward_U: Tensor | None = rewards(case, unit_N, alpha_U)
    if case.reward == "rouge_l":
        due = (case.step + 1) % case.reward_every == 0
        reward_U = torch.tensor(case.measured["student"]).double() if due else None
    if reward_U is not None:
        gain_U = policy.advantage(case, reward_U, after=case.advantage == "after")
        log_alpha_U = -torch.log1p(torch.exp(-logit_U))
        loss = -(log_alpha_U * gain_U + case.entropy_weight * entropy(logit_U)).mean()
        case.notes.log["policy_loss"] = loss.item()
        policy.descend(loss)
    return alpha_U[unit_N], 1 - alpha_U[unit_N]


def frozen(case: Case) -> tuple[Tensor, Tensor]:
    """α = π(s) of the network as it starts."""
    alpha = torch.sigmoid(Policy.of(case).logit(features(case, units(case)))).detach()
    return alpha, 1 - alpha


def sampled(case: Case) -> tuple[Tensor, Tensor]:
    """α = σ(x), x ~ N(π(s), spread²): the draw is the method's, its distribution is not.

    `score` descends −log N(x; π(s), spread²)·(r − b), `pathwise` −r itself; both −β_H·H.
    """
    assert case.given_weights is not None
    policy, unit_N = Policy.of(case), units(case)
    mean_U = policy.logit(features(case, unit_N))
    alpha_N = case.given_weights[0].double().expand(len(unit_N))
    alpha_U = means(alpha_N, unit_N)
    x_U = (alpha_U / (1 - alpha_U)).log()
    z_U = (x_U - mean_U.detach()) / case.spread
    case.notes.even("α", 0.5 * (1 + torch.erf(z_U * HALF)), torch.zeros_like(z_U))
    case.notes.log = {"policy_alpha": float(torch.sigmoid(mean_U.detach()).mean())}
    through_U = torch.sigmoid(mean_U + (x_U - mean_U).detach())
    reward_U = rewards(case, unit_N, through_U)
    gain_U = policy.advantage(case, reward_U.detach(), after=False)
    if case.estimator == "score":
        log_density_U = -((x_U - mean_U) ** 2) / (2 * case.spread**2)
        gain = log_density_U * gain_U
    else:
        gain = reward_U
    policy.descend(-(gain + case.entropy_weight * entropy(mean_U)).mean())
    return alpha_U[unit_N], 1 - alpha_U[unit_N]


def uniform(case: Case) -> tuple[Any, Any]:
    """α ~ U(0, 1): the draw is the method's."""
    assert case.given_weights is not None
    alpha = case.given_weights[0].double()
    case.notes.even("α", alpha.mean(), 0.0)
    return alpha, 1 - alpha


def coin(case: Case) -> tuple[Tensor, Tensor]:
    """w·KL(p‖q) or w·KL(q‖p), as the coin of bias π(s) fell; w by AKL's head share. ARKD's code.

    The policy learns once `rewards_an_update` rewards are in: from the normalised discounted
    returns, each action's that of the first reward after it (`window`), or one of the first
    actions' each (`first_actions`).
    """
    policy = Policy.of(case)
    p, q = case.p_NV, case.q_NV.detach()
    share_N = head_share(p, q, 0.5)
    fkl_weight_N, rkl_weight_N = {
        "head_ratio": (share_N, share_N),
        "head_and_tail": (share_N, 1 - share_N),
        "none": (torch.ones_like(share_N), torch.ones_like(share_N)),
    }[case.weighting]
    run = case.step * case.epochs / case.steps
    state = torch.tensor(
        [
            *(math.floor(run) / case.epochs, run % 1),
            *(x.mean().item() for x in (fkl_weight_N * kl(p, q), rkl_weight_N * kl(q, p))),
            *(x.mean().item() for x in (share_N, 1 - share_N)),
            cross_entropy(at_one(q, case.temperature), case.labels_N).mean().item(),
            *(0.0, 0.0, 0.0),
        ],
        dtype=torch.float64,
    )
    chance = float(torch.sigmoid(policy.logit(state)).detach())
    action = round(case.given_log["alpha"])
    case.notes.chosen("coin", action, {0: 1 - chance, 1: chance})
    case.notes.log = {"policy_alpha": chance}
    memory = case.notes.memory
    actions, earned = memory.setdefault("actions", []), memory.setdefault("rewards", [])
    actions.append((state, action, len(earned)))
    if (case.step + 1) % case.reward_every == 0:
        read = case.measured["student"][-1] if case.reward_text == "response" else 1.0
        earned.append(read - 0.5)
    if len(earned) >= case.rewards_an_update:
        case.notes.log["policy_loss"] = _learn(policy, case, actions, earned)
        memory["actions"], memory["rewards"] = [], []
    return action * fkl_weight_N, (1 - action) * rkl_weight_N


def _learn(policy: Policy, case: Case, actions: list[Any], earned: list[float]) -> float:
    """Descend −log π(a)·G − β_H·H, and return it."""
    returns = torch.tensor(to_go(earned, case.gamma), dtype=torch.float64)
    returns = (returns - returns.mean()) / (returns.std() + 1e-9)
    logits = policy.logit(torch.stack([state for state, _, _ in actions]))
    taken = torch.tensor([a for _, a, _ in actions], dtype=torch.float64)
    chance = torch.sigmoid(logits)
    log_taken = torch.where(taken > 0, chance, 1 - chance).log()
    if case.credit == "window":
        gain = (log_taken * returns[[window for _, _, window in actions]]).mean()
    else:
        gain = (log_taken[: len(returns)] * returns).sum()
    if case.entropy == "coin":
        bonus = entropy(logits).mean()
    else:
        bonus = -(log_taken.exp() * log_taken).sum()
    loss = -gain - case.entropy_weight * bonus
    policy.descend(loss)
    return loss.item()
