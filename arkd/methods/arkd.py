"""ARKD as its paper states it: a policy network weighs forward and reverse KL, once a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from arkd.method import Reference, Run, Signals, WeightedDivergences, Weights

if TYPE_CHECKING:
    from arkd.policy import PolicyAgent


@dataclass(frozen=True)
class Arkd(WeightedDivergences):
    """α = π(s) from six features of the batch; the policy learns from the same batch's loss."""

    policy_lr: float = 1e-4
    gamma: float = 0.99
    entropy_weight: float = 0.01
    first_baseline: Literal["first_reward", "zero"] = "first_reward"

    summary: ClassVar[str] = "a policy network, trained by reinforcement, sets α at each step"
    equation: ClassVar[str] = (
        "α = π(H_T, H_S, σ²_T, σ²_S, FKL, RKL); L = α·FKL + (1 − α)·RKL; r = −L; "
        "L_π = −log(α)·(r − b) − β_H·H(α)"
    )
    reference: ClassVar[Reference] = Reference(
        title="ARKD: Adaptive Reinforcement Learning-Guided Bidirectional KL Divergence "
        "Distillation for Text Generation",
        authors="Liu, Zhang, Xing, Qiao, Wang, Jiao",
        year=2026,
        url="https://arxiv.org/abs/2606.29869",
        code="github.com/agi-content-generation/ARKD@28d5c388",
        bibtex="""@article{liu2026arkd,
  title   = {ARKD: Adaptive Reinforcement Learning-Guided Bidirectional KL Divergence
             Distillation for Text Generation},
  author  = {Liu, Zilong and Zhang, Xuewen and Xing, Jinrui and Qiao, Juyi and Wang, Huiyong
             and Jiao, Junming},
  journal = {arXiv preprint arXiv:2606.29869},
  year    = {2026}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The baseline's start is not stated: the first reward by default, zero as a setting.",
        "The two variances of the state are not defined: the suite's `variance` says what they run "
        "over (the probabilities over the vocabulary by default).",
        "Divergences, features and reward are means over the batch's response tokens; the paper's "
        "eqs 1 and 2 are sums, and its normalisation is not stated.",
        "The baseline moves before the advantage is taken, as Algorithm 1 has it.",
        "The state is measured at the suite's training temperature; the paper does not say.",
        "λ·L_pt is the suite's and goes to every divergence method alike: it is no bonus.",
        "The reward is −L_distil (eq 8), not the validation ROUGE-L of the paper's appendix A.",
        "The authors' code is another method (Bernoulli actions, ten features), not followed here.",
    )

    def start(self, run: Run) -> PolicyAgent:
        """Return a fresh agent whose weights depend on the run's seed alone."""
        from arkd.policy import PolicyAgent
        from arkd.seeding import derive_seed

        return PolicyAgent(
            seed=derive_seed("policy", run.seed),
            lr=self.policy_lr,
            gamma=self.gamma,
            entropy_weight=self.entropy_weight,
            first_baseline=self.first_baseline,
        )

    def weights(self, step: int, steps: int, signals: Signals | None, state: Any) -> Weights:
        """Act on the batch's state, then learn from the batch's own loss (Algorithm 1)."""
        import torch

        from arkd.policy import FEATURES

        assert signals is not None
        means = [getattr(signals, f"{name}_N").mean() for name in FEATURES]
        logit = state.act(torch.stack(means).cpu())
        alpha = float(torch.sigmoid(logit.detach()))
        fkl, rkl = float(means[4]), float(means[5])
        reward = -(alpha * fkl + (1 - alpha) * rkl)
        loss = state.learn(logit, reward)
        log = {name: float(value) for name, value in zip(FEATURES[:4], means[:4], strict=True)}
        log |= {"reward": reward, "baseline": state.baseline, "policy_loss": loss}
        return Weights(alpha, 1 - alpha, log)
