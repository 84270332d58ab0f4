"""DistiLLM-2's contrastive loss: skew KL on the teacher's responses, reverse on the student's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Reference, Source, TokenDivergence
from arkd.objectives import skew_kl, skew_rkl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Contrastive(TokenDivergence):
    """(2 − β)·SKL on y ~ p plus β·SRKL on y ~ q."""

    skew: float = 0.1
    beta: float = 1.0

    responses: ClassVar[tuple[Source, ...]] = ("teacher", "student")
    summary: ClassVar[str] = "skew KL on the teacher's responses, skew reverse KL on the student's"
    equation: ClassVar[str] = (
        "L = ½·[(2 − β)·KL(p‖αp + (1 − α)q) on y ~ p  +  β·KL(q‖(1 − α)p + αq) on y ~ q]"
    )
    reference: ClassVar[Reference] = Reference(
        title="DistiLLM-2: A Contrastive Approach Boosts the Distillation of LLMs",
        authors="Ko, Chen, Kim, Yun et al.",
        year=2025,
        url="https://arxiv.org/abs/2503.07067",
        code="github.com/jongwooko/distillm-2@fe4cf9b",
        bibtex="""@inproceedings{ko2025distillm2,
  title     = {DistiLLM-2: A Contrastive Approach Boosts the Distillation of LLMs},
  author    = {Ko, Jongwoo and others},
  booktitle = {ICML},
  year      = {2025}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The two parts are averaged, so that the loss has the weight of every other method's.",
        "The teacher's responses are one sample a prompt, shared by all training seeds.",
        "The skew is constant; the authors adapt it per sample between 0.01 and 0.1.",
        "The student's responses are sampled once, from the shared SFT start; the authors sample "
        "anew before each epoch, and this suite's runs are about one epoch long.",
    )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, source: Source
    ) -> Tensor:
        """Return the skewed divergence of the tokens' response set."""
        assert log_p_NV is not None
        if source == "teacher":
            return (2 - self.beta) * skew_kl(log_q_NV, log_p_NV, self.skew)
        return self.beta * skew_rkl(log_q_NV, log_p_NV, self.skew)
