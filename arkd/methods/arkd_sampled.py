"""ARKD with a correct policy gradient: α is sampled, and the estimator is one of eq 8's reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD

if TYPE_CHECKING:
    from arkd.methods._policy import PolicyAgent


@dataclass(frozen=True)
class ArkdSampled(WeightedDivergences):
    """α = sigmoid(x), x ~ N(π(s), spread²); the policy descends an unbiased gradient of −E[r].

    `score` is REINFORCE: −log N(x; π(s), spread²)·(r − b). `pathwise` differentiates r itself with
    respect to α, which eq 8 allows: ∂r/∂α = RKL − FKL.
    """

    estimator: Literal["score", "pathwise"] = "score"
    spread: float = 0.5
    policy_lr: float = 1e-4
    gamma: float = 0.99
    entropy_weight: float = 0.01
    first_baseline: Literal["first_reward", "zero"] = "first_reward"
    baseline: Literal["moving_average", "teacher"] = "moving_average"
    granularity: Literal["batch", "sequence", "token"] = "batch"

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "ARKD with a sampled α and a correct policy gradient"
    equation: ClassVar[str] = (
        "L = α·FKL + (1 − α)·RKL, α = σ(x), x ~ N(π(s), spread²); r = −L; "
        "L_π = −log N(x; π(s), spread²)·(r − b) − β_H·H(σ(π(s)))"
    )
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = (
        "Not the paper's method but what its text calls it, REINFORCE: eq 16 takes the logarithm "
        "of an action that was not drawn, and is no policy gradient.",
        "The action is a normal draw on the logit of α, so that a step still mixes both "
        "divergences; the expected reward is that of the drawn α.",
        "The baseline of a step does not contain the step's own reward, which would bias the "
        "estimator; Algorithm 1 moves the baseline first.",
        "The entropy bonus is eq 19's, of the coin at the mean action.",
        "The reward is immediate, as in eq 8: no return is formed. It is multiplied by what the "
        "suite multiplies the loss by (T², `reduction`).",
    )
    defaults: ClassVar[dict[str, str]] = {
        "estimator": "the paper names REINFORCE",
        "spread": "ours: α of an undecided policy then lies in 0.38–0.62 two times in three",
        "policy_lr": "section 4: Adam, 1e-4",
        "gamma": "section 3: 0.99",
        "entropy_weight": "eq 19: 0.01",
        "first_baseline": "as `arkd`",
        "baseline": "section 3; `teacher` is what the teacher itself would earn: 0 under eq 8",
        "granularity": "section 3: one α a batch",
    }

    def __post_init__(self) -> None:
        """Refuse a draw without spread."""
        if self.spread <= 0:
            raise ValueError(f"spread must be positive, found {self.spread}")

    def start(self, run: Run) -> PolicyAgent:
        """Return the agent that `arkd` starts with at this seed."""
        from arkd.methods._policy import PolicyAgent

        return PolicyAgent(
            seed=run.seed,
            lr=self.policy_lr,
            gamma=self.gamma,
            first_baseline=self.first_baseline,
            advantage="before",
        )

    @property
    def batch_weights(self) -> bool:
        """One α for all tokens, unless the granularity is finer."""
        return self.granularity == "batch"

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Draw α for the batch's state, then learn from its reward."""
        import torch

        from arkd.methods._policy import Units, binary_entropy, score_loss
        from arkd.seeding import derive_seed

        agent: PolicyAgent = context.state
        signals = tools.signals()
        units = Units.of(signals, self.granularity)
        mean_U = agent.act(units.state(signals))
        draws = torch.Generator().manual_seed(derive_seed("action", agent.seed, context.step))
        action_U = mean_U + self.spread * torch.randn(units.n, generator=draws)
        alpha_U = torch.sigmoid(action_U)
        scale = tools.loss_scale()  # r = −L of the loss that is descended
        fkl_U, rkl_U = (units.mean(scale * x_N) for x_N in (signals.fkl_N, signals.rkl_N))
        reward_U = -(alpha_U * fkl_U + (1 - alpha_U) * rkl_U)
        reward = float(reward_U.detach().mean())
        baseline = 0.0 if self.baseline == "teacher" else agent.baseline_for(reward)
        if self.estimator == "score":
            advantage_U = reward_U.detach() - baseline
            loss = score_loss(mean_U, action_U, self.spread, advantage_U, self.entropy_weight)
        else:
            loss = (-reward_U - self.entropy_weight * binary_entropy(mean_U)).mean()
        log = {"reward": reward, "baseline": baseline, "policy_loss": agent.learn(loss)}
        log["policy_alpha"] = float(mean_U.detach().sigmoid().mean())
        alpha_U = alpha_U.detach()
        alpha_N = alpha_U[units.unit_N].to(signals.fkl_N.device)
        alpha = float(alpha_U) if self.granularity == "batch" else alpha_N
        return Weights(alpha, 1 - alpha, log)
