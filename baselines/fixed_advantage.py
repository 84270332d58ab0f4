"""A control without a teacher: the student's least probable tokens are made less probable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Need, Reference, Source, Tools
from arkd.objectives import LOG_ZERO, sampled_cost

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FixedAdvantage(FullStep):
    """−A·log q(y_t) of the tokens of y ~ q with the lowest q(y_t), A one negative number."""

    advantage: float = -0.5
    share: float = 0.2
    entropy_weight: float = 0.0

    needs: ClassVar[tuple[Need, ...]] = ("student_samples",)
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "control: own unlikely tokens are suppressed, no teacher is asked"
    equation: ClassVar[str] = (
        "∇L = −A_t·∇log q(y_t), y ~ q, mean over the ⌊f·N⌋ tokens of lowest q(y_t), at least one; "
        "A_t = A·(1 + w·(H_t − min H)/(max H − min H)), H the entropy of q at them"
    )
    reference: ClassVar[Reference] = Reference(
        title="Does On-Policy Distillation Really Distill? From Noisy Teacher to Self-Improvement",
        authors="Ding, Zhang",
        year=2026,
        url="https://arxiv.org/abs/2608.31046",
        code="github.com/DripNowhy/On-Policy-Self-Adaptation@ebebe09",
        bibtex="""@misc{ding2026does,
  title         = {Does On-Policy Distillation Really Distill? {From} Noisy Teacher to
                   Self-Improvement},
  author        = {Ding, Yi and Zhang, Ruqi},
  year          = {2026},
  eprint        = {2608.31046},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code and its documentation; the paper's text was not to be had.",
        "Tokens are chosen in the whole batch; the code's among those of one process's pack.",
        "One gradient step a draw, so that no ratio to an older student is needed or clipped.",
        "λ·L_pt goes to no method without a teacher: compare with `{name: opd, estimator: sampled, "
        "lm_weight: 0}`.",
        "The paper's method, OPSA, is `entropy_weight: 1`; its control with a positive advantage "
        "is `advantage: 0.2`.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "advantage": "the code's preset `fixed-negative`",
        "share": "the code's `opsa-token-fraction`",
        "entropy_weight": "the control; the code's preset `opsa` has −0.5 to −1, a weight of 1",
    }

    def __post_init__(self) -> None:
        """Refuse an advantage that teaches nothing, and shares outside of their range."""
        if not math.isfinite(self.advantage) or self.advantage == 0:
            raise ValueError(f"advantage must be finite and not 0, found {self.advantage}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must lie in (0, 1], found {self.share}")
        if not 0 <= self.entropy_weight < math.inf:
            raise ValueError(f"entropy_weight must be 0 or more, found {self.entropy_weight}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, choose its least probable tokens, push them down."""
        responses = tools.sample()
        labels_N = responses.labels_N

        def label(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            return log_q_CV.gather(-1, labels_N[rows, None]).squeeze(-1)

        log_q_N = tools.measure(responses, label, temperature=1.0)
        count = max(1, int(self.share * len(log_q_N)))
        chosen_K = log_q_N.argsort(stable=True)[:count]
        cost_N = log_q_N.new_zeros(len(log_q_N))
        cost_N[chosen_K] = -self.advantage
        if self.entropy_weight > 0:
            entropy_K = tools.measure(responses, entropy, temperature=1.0)[chosen_K]
            above_K, span = entropy_K - entropy_K.min(), entropy_K.max() - entropy_K.min()
            rank_K = above_K / span if span > 1e-12 else above_K + 1
            cost_N[chosen_K] *= 1 + self.entropy_weight * rank_K
        weight = len(log_q_N) / count

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            return weight * sampled_cost(cost_N[rows], label(log_q_CV, log_p_CV, rows))

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        return loss, {
            "mean_length": len(labels_N) / len(responses.samples),
            "threshold_nats": float(-log_q_N[chosen_K[-1]]),
            "mean_advantage": float(-cost_N[chosen_K].mean()),
        }


def entropy(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
    """Return the student's entropy at each token, in nats."""
    return -(log_q_CV.exp() * log_q_CV.clamp_min(LOG_ZERO)).sum(-1)
