"""IW-OPD: on-policy distillation that weighs a token less the more its prefix was disputed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Need, Reference, Responses, Source, Tools
from arkd.objectives import sampled_cost

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ImportanceWeighted(FullStep):
    """The sampled gradient of reverse KL, from 1 + γ times it at the start to once at the end."""

    gamma: float = 0.5

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "on-policy reverse KL by the sampled token, early tokens weigh more"
    equation: ClassVar[str] = (
        "∇L = w_t·r_t·∇log q(y_t), y ~ q, r = log q(y) − log p(y), "
        "w_t = 1 + γ·(1 − Σ_{u < t} |r_u| / Σ_u |r_u|), the last sum over the whole response"
    )
    reference: ClassVar[Reference] = Reference(
        title="On the Position Bias of On-Policy Distillation",
        authors="Xie, Zhu, Wen, Chen, Wang",
        year=2026,
        url="https://arxiv.org/abs/2606.22600",
        code="github.com/YannX1e/Importance-Weighted-On-Policy-Distillation@b1320d3",
        bibtex="""@misc{xie2026position,
  title         = {On the Position Bias of On-Policy Distillation},
  author        = {Xie, Yan and Zhu, Sijie and Wen, Tiansheng and Chen, Bo and Wang, Yifei},
  year          = {2026},
  eprint        = {2606.22600},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' article on the method (YannX1e/IW-OPD@19a5431) and their code.",
        "One gradient step a draw, so that no ratio to an older student is needed or clipped, and "
        "no correction of a sampler that computes otherwise than the trainer.",
        "Where both models agree on a whole response, so that all r are 0, w is 1 + γ; the code "
        "comes there too, by a small number in its denominator.",
        "All is at temperature 1, that of the samples.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "gamma": "the authors' script: the largest weight, 1 + γ, is 1.5"
    }

    def __post_init__(self) -> None:
        """Refuse a weight that falls below that of plain on-policy distillation."""
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be 0 or more, found {self.gamma}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, weigh its tokens, then descend the reverse KL there."""
        responses = tools.sample()
        labels_N = responses.labels_N
        log_q_N, log_p_N = tools.log_probs(responses)
        ratio_N = log_q_N - log_p_N
        weight_N = 1 + self.gamma * (1 - disputed(ratio_N.abs(), responses))
        cost_N = weight_N * ratio_N

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            log_q_C = log_q_CV.gather(-1, labels_N[rows, None]).squeeze(-1)
            return sampled_cost(cost_N[rows], log_q_C)

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        return loss, {
            "mean_length": len(labels_N) / len(responses.samples),
            "mean_weight": float(weight_N.mean()),
            "log_ratio": float(ratio_N.mean()),
        }


def disputed(amount_N: Tensor, responses: Responses) -> Tensor:
    """Return the share [N] of its response's amount that lies before a token, 0 of nothing."""
    shares = []
    for amount_T in amount_N.split(responses.lengths):
        before_T = amount_T.cumsum(0) - amount_T
        shares.append(before_T / amount_T.sum().clamp_min(1e-8))
    return amount_N.new_tensor([share for share_T in shares for share in share_T.tolist()])
