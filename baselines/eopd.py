"""Entropy-aware on-policy distillation: forward KL is added where the teacher is unsure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, FullStep, Need, Reference, Source, Tools
from arkd.objectives import LOG_ZERO, reverse_kl, sampled_cost

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EntropyAware(FullStep):
    """Reverse KL at each token of y ~ q; at those of a high teacher entropy forward KL as well."""

    threshold_nats: float = 0.8
    forward_weight: float = 1.0
    top_k: int = 16
    estimator: Literal["sampled", "vocabulary"] = "sampled"

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = (
        "on-policy reverse KL, and forward KL where the teacher's entropy is high"
    )
    equation: ClassVar[str] = (
        "L = KL(q‖p) + α·[H(p) ≥ τ]·Σ_{top-k of p} p·log(p/q) on y ~ q; sampled: the gradient of "
        "KL(q‖p) is (log q(y_t) − log p(y_t))·∇log q(y_t)"
    )
    reference: ClassVar[Reference] = Reference(
        title="Entropy-Aware On-Policy Distillation of Language Models",
        authors="Jin, Min, Yang, Kadhe, Zhou, Wei, Baracaldo, Lee",
        year=2026,
        url="https://arxiv.org/abs/2603.07079",
        code="github.com/ckjsuperhh/CacheEOPD@122d030",
        bibtex="""@misc{jin2026entropyaware,
  title         = {Entropy-Aware On-Policy Distillation of Language Models},
  author        = {Jin, Woogyeol and Min, Taywon and Yang, Yongjin and Kadhe, Swanand Ravindra
                   and Zhou, Yi and Wei, Dennis and Baracaldo, Nathalie and Lee, Kimin},
  year          = {2026},
  eprint        = {2603.07079},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the loss of the authors' code (WLS04/EOPD), read in a fork of it; of the "
        "paper the abstract and introduction were read.",
        "One gradient step a draw, so that no ratio to an older student is needed and none is "
        "clipped; the code takes four steps a draw and clips at PPO's ratio.",
        "As in the code the forward part is a sum over the teacher's k most probable tokens, "
        "neither renormalised nor with the rest: no divergence, and it may be negative.",
        "`estimator: vocabulary` is not theirs: the same loss with the exact reverse KL.",
        "All is at temperature 1, that of the samples.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "threshold_nats": "the code's `soft_kd_entropy_threshold`",
        "forward_weight": "the code's `soft_kd_loss_coef`",
        "top_k": "the fork's scripts, which cite the paper's appendix F; the code's example has 32",
        "estimator": "the code's, by the sampled token",
    }

    def __post_init__(self) -> None:
        """Refuse settings outside of their ranges."""
        for name in ("threshold_nats", "forward_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, found {getattr(self, name)}")
        if self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, found {self.top_k}")
        if self.estimator not in ("sampled", "vocabulary"):
            raise ValueError(f"estimator must be sampled or vocabulary, found {self.estimator}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, then add both parts at its tokens."""
        responses = tools.sample()
        labels_N = responses.labels_N
        unsure_N = labels_N.new_zeros(len(labels_N))

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            log_p_CV = log_p_CV.clamp_min(LOG_ZERO)
            unsure_C = -(log_p_CV.exp() * log_p_CV).sum(-1) >= self.threshold_nats
            unsure_N[rows] = unsure_C.long()
            top_CK, index_CK = log_p_CV.topk(min(self.top_k, log_p_CV.shape[-1]), dim=-1)
            log_q_CK = log_q_CV.gather(-1, index_CK).clamp_min(LOG_ZERO)
            forward_C = (top_CK.exp() * (top_CK - log_q_CK)).sum(-1)
            if self.estimator == "vocabulary":
                reverse_C = reverse_kl(log_q_CV, log_p_CV)
            else:
                label_C1 = labels_N[rows, None]
                log_q_C, log_p_C = (
                    x.gather(-1, label_C1).squeeze(-1) for x in (log_q_CV, log_p_CV)
                )
                reverse_C = sampled_cost((log_q_C - log_p_C).detach(), log_q_C)
            return reverse_C + self.forward_weight * unsure_C * forward_C

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        return loss, {
            "mean_length": len(labels_N) / len(responses.samples),
            "unsure": float(tools.everywhere(unsure_N).sum()) / len(labels_N),
        }
