"""ARKD as its paper states it: a policy network weighs forward and reverse KL, once a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, Need, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD_CODE

if TYPE_CHECKING:
    from torch import Tensor

    from arkd.methods._policy import PolicyAgent


@dataclass(frozen=True)
class Arkd(WeightedDivergences):
    """α = π(s) from six features of the batch; the policy learns from the same batch's loss.

    With `granularity` α belongs to each sequence or token, with a state and a reward of its own.
    """

    policy_lr: float = 1e-4
    gamma: float = 0.99
    entropy_weight: float = 0.01
    first_baseline: Literal["first_reward", "zero"] = "first_reward"
    baseline: Literal["moving_average", "teacher"] = "moving_average"
    advantage: Literal["after", "before"] = "after"
    reward: Literal["loss", "rouge_l"] = "loss"
    reward_every: int = 100
    state_temperature: float | None = None
    granularity: Literal["batch", "sequence", "token"] = "batch"

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "a policy network, trained by reinforcement, sets α at each step"
    equation: ClassVar[str] = (
        "α = π(H_T, H_S, σ²_T, σ²_S, FKL, RKL); L = α·FKL + (1 − α)·RKL; r = −L; "
        "L_π = −log(α)·(r − b) − β_H·H(α)"
    )
    reference: ClassVar[Reference] = ARKD_CODE
    deviations: ClassVar[tuple[str, ...]] = (
        "The two variances of the state are not defined: the suite's `variance` says what they run "
        "over (the probabilities over the vocabulary by default).",
        "Divergences, features and reward are means over the response tokens; the paper's eqs 1 "
        "and 2 are sums, and its normalisation is not stated.",
        "The reward is eq 8's −L_distil where the suite multiplies it (T², `reduction`), too; "
        "the divergences of the state stay means.",
        "With `reward: rouge_l` the student is scored before the update of the step; the authors' "
        "code scores it after.",
        "λ·L_pt is the suite's and goes to every method that reads the teacher: it is no bonus.",
        "The authors' code is another method: see `arkd_code`.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "policy_lr": "section 4: Adam, 1e-4",
        "gamma": "section 3: 0.99",
        "entropy_weight": "eq 19: 0.01",
        "first_baseline": "not stated; zero would punish every first action, its reward being < 0",
        "baseline": "section 3; `teacher` is what the teacher itself would earn: 0 under eq 8",
        "advantage": "Algorithm 1 moves the baseline before it takes the advantage",
        "reward": "eq 8; appendix A and Figure 6 speak of ROUGE-L on validation text instead",
        "reward_every": "not stated; 100 batches in the authors' code. Used with rouge_l alone: "
        "the policy then learns once in so many steps, so that a short run hardly moves it",
        "state_temperature": "not stated; the training temperature, as the loss has it",
        "granularity": "section 3: one α a batch",
    }

    def __post_init__(self) -> None:
        """Refuse settings outside of their ranges."""
        for name in ("policy_lr", "reward_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")
        if self.state_temperature is not None and self.state_temperature <= 0:
            raise ValueError(f"state_temperature must be above 0, found {self.state_temperature}")

    def start(self, run: Run) -> PolicyAgent:
        """Return a fresh agent whose weights depend on the run's seed alone."""
        from arkd.methods._policy import PolicyAgent

        return PolicyAgent(
            seed=run.seed,
            lr=self.policy_lr,
            gamma=self.gamma,
            first_baseline=self.first_baseline,
            advantage=self.advantage,
        )

    @property
    def required(self) -> tuple[Need, ...]:
        """Rewards too, if they are measured on development text."""
        return (*self.needs, "rewards") if self.reward == "rouge_l" else self.needs

    @property
    def batch_weights(self) -> bool:
        """One α for all tokens, unless the granularity is finer."""
        return self.granularity == "batch"

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Act on the batch's state, then learn from its reward (Algorithm 1)."""
        import torch

        from arkd.methods._policy import FEATURES, Units, policy_loss

        agent: PolicyAgent = context.state
        signals = tools.signals()
        seen = tools.signals(temperature=self.state_temperature) if self.state_temperature else None
        units = Units.of(signals, self.granularity)
        state_U6 = units.state(seen or signals)
        logit_U = agent.act(state_U6)
        alpha_U = torch.sigmoid(logit_U.detach())
        log = {name: float(x) for name, x in zip(FEATURES[:4], state_U6.mean(0)[:4], strict=True)}
        reward_U: Tensor | None = None
        if self.reward == "loss":
            scale = tools.loss_scale()  # r = −L of the loss that is descended
            fkl_U, rkl_U = (units.mean(scale * x_N) for x_N in (signals.fkl_N, signals.rkl_N))
            reward_U = -(alpha_U * fkl_U + (1 - alpha_U) * rkl_U)
        elif (context.step + 1) % self.reward_every == 0:
            reward_U = torch.tensor([tools.rouge_l()])
        if reward_U is not None:
            reward = float(reward_U.mean())
            if self.baseline == "teacher":  # its divergence to itself is 0
                baseline = 0.0 if self.reward == "loss" else tools.rouge_l("teacher")
            else:
                baseline = agent.baseline_for(reward)
            loss = agent.learn(policy_loss(logit_U, reward_U - baseline, self.entropy_weight))
            log |= {"reward": reward, "baseline": baseline, "policy_loss": loss}
        alpha_N = alpha_U[units.unit_N].to(signals.fkl_N.device)
        alpha = float(alpha_U) if self.granularity == "batch" else alpha_N
        return Weights(alpha, 1 - alpha, log)
