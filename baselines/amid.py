"""AMiD: a divergence to a generalised mean of both models, between arithmetic and geometric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import LOG_ZERO, alpha_beta, forward_kl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class AlphaMixture(TokenDivergence):
    """D(x, r) or D(r, x), x one of the models and r their α-mixture, λ the teacher's share."""

    alpha: float = 0.5
    teacher_share: float = 0.5
    divergence: Literal["alpha_beta", "kl"] = "alpha_beta"
    order: Literal["pr", "rp", "qr", "rq"] = "pr"

    summary: ClassVar[str] = "a divergence to the α-mixture of student and teacher (AMiD)"
    equation: ClassVar[str] = (
        "L = D(p, r), r ∝ (λ·p^((1 − α)/2) + (1 − λ)·q^((1 − α)/2))^(2/(1 − α)), at α = 1 "
        "p^λ·q^(1 − λ); D the α–β-divergence of (0.2, 0.7), or KL"
    )
    reference: ClassVar[Reference] = Reference(
        title="AMiD: Knowledge Distillation for LLMs with α-mixture Assistant Distribution",
        authors="Shin, Kim, Jo, Na, Moon",
        year=2026,
        url="https://arxiv.org/abs/2510.15982",
        code="github.com/aailab-kaist/AMiD@a963105",
        bibtex="""@inproceedings{shin2026amid,
  title     = {{AMiD}: Knowledge Distillation for {LLM}s with $\\alpha$-mixture Assistant
               Distribution},
  author    = {Shin, Donghyeok and Kim, Yeongmin and Jo, Suhyeon and Na, Byeonghu and
               Moon, Il-Chul},
  booktitle = {The Fourteenth International Conference on Learning Representations},
  year      = {2026},
  note      = {arXiv:2510.15982}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code; of the paper the abstract and introduction were read.",
        "α above 1 is refused: the code takes the mixture of α = 1 there.",
        "The loss alone, on the gold responses; the authors' script also trains on the student's "
        "own, as DistiLLM does, and on a corpus of plain text.",
        "At the suite's temperature; the code is at 1.",
        "A token of probability 0 counts as one of log-probability −10⁵; the code masks it.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "alpha": "the authors' script for GPT-2 of 0.1B",
        "teacher_share": "λ of the same script",
        "divergence": "of the same script; its exponents are fixed in the code",
        "order": "of the same script",
    }

    def __post_init__(self) -> None:
        """Refuse settings outside of their ranges."""
        if not (-math.inf < self.alpha <= 1):
            raise ValueError(f"alpha must be a number of at most 1, found {self.alpha}")
        if not 0 < self.teacher_share < 1:
            raise ValueError(f"teacher_share must lie in (0, 1), found {self.teacher_share}")
        for name, known in (("divergence", ("alpha_beta", "kl")), ("order", tuple(ORDERS))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, found {getattr(self, name)}"
                )

    @property
    def allows_zeros(self) -> bool:
        """Whether D is finite where p is 0; r is 0 there at α = 1 alone."""
        geometric = self.alpha == 1
        if self.divergence == "alpha_beta" or self.order in ("pr", "rq"):
            return True
        return geometric if self.order == "rp" else not geometric

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the divergence of each token; the gradient runs through the mixture too."""
        assert log_p_NV is not None
        log_p_NV, log_q_NV = log_p_NV.clamp_min(LOG_ZERO), log_q_NV.clamp_min(LOG_ZERO)
        models = {"p": log_p_NV, "q": log_q_NV, "r": self._log_mixture(log_p_NV, log_q_NV)}
        log_x_NV, log_y_NV = (models[name] for name in self.order)
        if self.divergence == "kl":
            return forward_kl(log_y_NV, log_x_NV)
        return alpha_beta(log_y_NV, log_x_NV, 0.2, 0.7)

    def _log_mixture(self, log_p_NV: Tensor, log_q_NV: Tensor) -> Tensor:
        share, power = self.teacher_share, (1 - self.alpha) / 2
        if power == 0:
            return (share * log_p_NV + (1 - share) * log_q_NV).log_softmax(-1)
        of_p_NV = math.log(share) + power * log_p_NV
        of_q_NV = math.log1p(-share) + power * log_q_NV
        return (of_p_NV.logaddexp(of_q_NV) / power).log_softmax(-1)


ORDERS = ("pr", "rp", "qr", "rq")
