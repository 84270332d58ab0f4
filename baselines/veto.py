"""Veto: on-policy distillation towards a target that the student's doubt holds back at first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, FullStep, Need, Reference, Source, Tools
from arkd.objectives import LOG_ZERO, forward_kl, reverse_kl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Veto(FullStep):
    """KL(r‖q) or KL(q‖r) on y ~ q, r ∝ p·q^β; β falls linearly over the run."""

    beta: float = 0.3
    beta_end: float = 0.0
    direction: Literal["forward", "reverse"] = "forward"

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "on-policy KL to a product of teacher and student that fades to p"
    equation: ClassVar[str] = (
        "L = KL(r‖q) on y ~ q, r ∝ p·sg(q)^β, β = β₀ + (β₁ − β₀)·n/N at step n of N, from 0; "
        "reverse: KL(q‖r)"
    )
    reference: ClassVar[Reference] = Reference(
        title="Stable On-Policy Distillation through Adaptive Target Reformulation",
        authors="Jang, Yeom, Yeo, Lim, Kim",
        year=2026,
        url="https://arxiv.org/abs/2601.07155",
        code="github.com/jjun-0824/Veto@0ff04a0",
        bibtex="""@inproceedings{jang2026stable,
  title     = {Stable On-Policy Distillation through Adaptive Target Reformulation},
  author    = {Jang, Ijun and Yeom, Jewon and Yeo, Juan and Lim, Hyunggu and Kim, Taesup},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2026},
  year      = {2026},
  note      = {arXiv:2601.07155}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code and README; of the paper the abstract and introduction "
        "were read.",
        "Responses are drawn from q itself; the code's configurations draw at temperature 0.5 "
        "within a nucleus of 0.5.",
        "The mean is over the batch's tokens; the code's over those of a response, then over "
        "responses.",
        "A token is scored by the logits that predict it. The code takes those one place later: "
        "the first token of a response goes unscored, and what follows its end is scored.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "beta": "the code's option, which the README has for summaries; 0.8 for mathematics and "
        "1.0 for program code",
        "beta_end": "the code's option: the target ends as the teacher",
        "direction": "the README: the best results are those of forward KL",
    }

    def __post_init__(self) -> None:
        """Refuse powers of q below 0 and unknown directions."""
        for name in ("beta", "beta_end"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more, found {getattr(self, name)}")
        if self.direction not in ("forward", "reverse"):
            raise ValueError(f"direction must be forward or reverse, found {self.direction}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, then descend the KL to this step's target."""
        responses = tools.sample()
        beta = self.beta + (self.beta_end - self.beta) * context.step / context.steps
        divergence = forward_kl if self.direction == "forward" else reverse_kl

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            held_CV = beta * log_q_CV.detach().clamp_min(LOG_ZERO)
            target_CV = (log_p_CV.clamp_min(LOG_ZERO) + held_CV).log_softmax(-1)
            return divergence(log_q_CV, target_CV)

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        mean_length = len(responses.labels_N) / len(responses.samples)
        return loss, {"mean_length": mean_length, "beta": beta}
