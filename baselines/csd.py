"""Concrete score distillation: differences of logits between all pairs of tokens are matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import LOG_ZERO

if TYPE_CHECKING:
    from torch import Tensor

Weighing = Literal["student", "teacher", "uniform"]


@dataclass(frozen=True)
class ConcreteScores(TokenDivergence):
    """¼·Σ w₁(x)·w₂(y)·(d_x − d_y)² over all pairs, d by how much the student's logits are off."""

    first: Weighing = "student"
    second: Weighing = "student"

    summary: ClassVar[str] = "squared errors of logit differences between all pairs of tokens"
    equation: ClassVar[str] = (
        "L = ¼·Σ_{x,y} w₁(x)·w₂(y)·(d_x − d_y)², d = log q − log p, w of p, q or uniform, without "
        "gradient; with both weights q: ½·Var_q(d)"
    )
    reference: ClassVar[Reference] = Reference(
        title="Distillation of Large Language Models via Concrete Score Matching",
        authors="Kim, Shin, Kang, Na, Moon",
        year=2026,
        url="https://arxiv.org/abs/2509.25837",
        code="github.com/aailab-kaist/CSD@c77a3a7",
        bibtex="""@inproceedings{kim2026distillation,
  title     = {Distillation of Large Language Models via Concrete Score Matching},
  author    = {Kim, Yeongmin and Shin, Donghyeok and Kang, Mina and Na, Byeonghu and
               Moon, Il-Chul},
  booktitle = {The Fourteenth International Conference on Learning Representations},
  year      = {2026},
  note      = {arXiv:2509.25837}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code; of the paper the abstract and introduction were read.",
        "The value is the objective's. The code gives a number whose gradient alone is the "
        "objective's, with the factor that makes it q·(d − E_q d); the gradient here is that.",
        "Differences of log-probabilities stand for those of logits, which changes nothing.",
        "At the suite's temperature, that of weights and logits alike, so that the loss falls "
        "as T⁻²; the code's temperature softens the weights alone, and is 1.",
        "A token of probability 0 counts as one of log-probability −10⁵; the code has no such.",
        "On the gold responses; the authors also combine it with the student's own.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "first": "the code's main loss, (S, S); its others are (U, S) and (T, S)",
        "second": "as `first`",
    }

    def __post_init__(self) -> None:
        """Refuse unknown weights."""
        for name in ("first", "second"):
            if getattr(self, name) not in ("student", "teacher", "uniform"):
                raise ValueError(
                    f"{name} must be student, teacher or uniform, found {getattr(self, name)}"
                )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the weighted squared differences of each token.

        With E₁ and E₂ the means under the two weights, the sum over pairs is
        ¼·(E₁(d − E₁d)² + E₂(d − E₂d)² + (E₁d − E₂d)²).
        """
        assert log_p_NV is not None
        gap_NV = log_q_NV.clamp_min(LOG_ZERO) - log_p_NV.clamp_min(LOG_ZERO)
        weights = {
            "student": log_q_NV.detach().exp(),
            "teacher": log_p_NV.exp(),
            "uniform": log_p_NV.new_full((), 1 / log_p_NV.shape[-1]),
        }
        means, spread_N = [], log_p_NV.new_zeros(len(log_p_NV))
        for name in (self.first, self.second):
            weight_NV = weights[name]
            mean_N1 = (weight_NV * gap_NV).sum(-1, keepdim=True)
            spread_N = spread_N + (weight_NV * (gap_NV - mean_N1).square()).sum(-1)
            means.append(mean_N1.squeeze(-1))
        return 0.25 * (spread_N + (means[0] - means[1]).square())
