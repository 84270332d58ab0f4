"""Tail-aware distillation: forward KL split at the teacher's top-k, its tail weighed alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, FullStep, Reference, Responses, Tools
from arkd.objectives import LOG_ZERO, forward_kl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TailAware(FullStep):
    """KL over the top-k and one bucket, plus KL within the tail, weighed by its share of mass."""

    top_k: int = 10
    beta: float = 2.0

    varies: ClassVar[Axis] = "support"
    summary: ClassVar[str] = "forward KL split at the teacher's top-k, more weight on the tail"
    equation: ClassVar[str] = (
        "L = KL(p_1‖q_1) + β·(a/ā)·KL(p_2‖q_2), x_1 the top-k of p and one bucket for the rest, "
        "x_2 the rest, normalised, a its mass under p, ā the mean of a over the response; with β "
        "for β/ā it would be KL(p‖q) at β = 1"
    )
    reference: ClassVar[Reference] = Reference(
        title="Don't Ignore the Tail: Decoupling top-K Probabilities for Efficient Language Model "
        "Distillation",
        authors="Dasgupta, Cohn, Baldwin",
        year=2026,
        url="https://arxiv.org/abs/2602.20816",
        bibtex="""@misc{dasgupta2026dont,
  title         = {Don't Ignore the Tail: Decoupling top-{K} Probabilities for Efficient Language
                   Model Distillation},
  author        = {Dasgupta, Sayantan and Cohn, Trevor and Baldwin, Timothy},
  year          = {2026},
  eprint        = {2602.20816},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CL}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "No code of the authors was found: written from the paper's equation 3 and the paragraphs "
        "around it; the rest of the paper was not read.",
        "No cross-entropy beside it: the paper adds that of the next token, and the suite none to "
        "any divergence method.",
        "The response stands for the paper's sequence, of which every token counts; its prompt "
        "is left out.",
        "At the suite's temperature; what the paper trains at was not found stated.",
        "The teacher's tail masses take a sweep of their own before the loss.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "top_k": "the paper's best of 1, 5, 10 and 20, as a note on it tabulates them",
        "beta": "the paper's best of 0.5 to 10, as the same note says",
    }

    def __post_init__(self) -> None:
        """Refuse a split that leaves no head, and a weight that rewards an error."""
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, found {self.top_k}")
        if not 0 < self.beta < math.inf:
            raise ValueError(f"beta must be a positive number, found {self.beta}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Measure the tails of the batch, then weigh both parts at each token."""
        responses = tools.responses()

        def tail_mass(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            return log_p_CV.scatter(-1, self._top(log_p_CV), LOG_ZERO).logsumexp(-1).exp()

        mass_N = tools.measure(responses, tail_mass)
        weight_N = self.beta / of_sequences(mass_N, responses).clamp_min(1e-30)  # 0 where all is 0

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            top_CK = self._top(log_p_CV)
            head_q, log_a_q, rest_q = parts(log_q_CV, top_CK)
            head_p, log_a_p, rest_p = parts(log_p_CV, top_CK)
            head_C = forward_kl(head_q, head_p) + forward_kl(log_a_q, log_a_p)
            return head_C + weight_N[rows] * mass_N[rows] * forward_kl(rest_q, rest_p)

        return tools.mean_loss(responses, token_loss), {"tail_mass": float(mass_N.mean())}

    def _top(self, log_p_CV: Tensor) -> Tensor:
        if self.top_k >= log_p_CV.shape[-1]:
            raise ValueError(
                f"topk_tail: top_k {self.top_k} leaves no tail in a vocabulary of "
                f"{log_p_CV.shape[-1]}; lower top_k"
            )
        return log_p_CV.topk(self.top_k, dim=-1).indices


def parts(log_x_CV: Tensor, top_CK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log x of the top tokens [C, k], of all others together [C, 1], and among them [C, V].

    What is impossible among the others, the top tokens for one, has log-probability LOG_ZERO.
    """
    others_CV = log_x_CV.clamp_min(LOG_ZERO).scatter(-1, top_CK, LOG_ZERO)
    log_mass_C1 = others_CV.logsumexp(-1, keepdim=True)
    among_CV = (others_CV - log_mass_C1).scatter(-1, top_CK, LOG_ZERO)
    return log_x_CV.gather(-1, top_CK), log_mass_C1, among_CV


def of_sequences(value_N: Tensor, responses: Responses) -> Tensor:
    """Return the mean over each token's own sequence [N]."""
    sums_B = value_N.new_zeros(len(responses.samples)).index_add_(0, responses.sequence_N, value_N)
    lengths_B = responses.sequence_N.bincount(minlength=len(responses.samples))
    return (sums_B / lengths_B)[responses.sequence_N]
