"""Speculative KD: on responses that the student proposes and the teacher corrects as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Need, Reference, Source, Tools
from arkd.objectives import forward_kl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SpeculativeKD(FullStep):
    """KL(p‖q) on y; y_t ~ q stands if it is among the teacher's k best, else y_t ~ p."""

    teacher_top_k: int = 25

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "teacher_samples", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "forward KL on the student's responses, unlikely tokens replaced"
    equation: ClassVar[str] = (
        "L = KL(p‖q) on y, y_t ~ q·[y ∈ top-k of p] + Σ_{not in top-k of p} q · p at each t"
    )
    reference: ClassVar[Reference] = Reference(
        title="Speculative Knowledge Distillation: Bridging the Teacher-Student Gap Through "
        "Interleaved Sampling",
        authors="Xu, Han, Wang, Le, Madeka, Li, Wang, Agarwal, Lee, Pfister",
        year=2025,
        url="https://arxiv.org/abs/2410.11325",
        code="github.com/google-research/google-research@4c42994",
        bibtex="""@inproceedings{xu2025speculative,
  title     = {Speculative Knowledge Distillation: Bridging the Teacher-Student Gap Through
               Interleaved Sampling},
  author    = {Xu, Wenda and Han, Rujun and Wang, Zifeng and Le, Long T. and Madeka, Dhruv and
               Li, Lei and Wang, William Yang and Agarwal, Rishabh and Lee, Chen-Yu and
               Pfister, Tomas},
  booktitle = {The Thirteenth International Conference on Learning Representations},
  year      = {2025},
  note      = {arXiv:2410.11325}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the abstract and the authors' code (`speculative_kd`).",
        "Both models draw at temperature 1 from all tokens; the code's configuration has 0.5 for "
        "the student and 0.2 for the teacher, each within a nucleus of 0.5.",
        "A proposal is judged alone. The code has blocks of five proposed and judges tokens drawn "
        "once more from the student's distributions in the place of those that it keeps.",
        "The teacher's k most probable tokens stand with their equals; the code's nucleus leaves "
        "fewer than k, and it fills up with others.",
        "The mean is over the batch's tokens; the code's over those of a response, then over "
        "responses.",
        "A token is scored by the logits that predict it; the code takes those one place later.",
        "Forward KL at temperature 1, as in the code's configuration; its reverse KL and JSD are "
        "left out.",
    )
    defaults: ClassVar[dict[str, str]] = {"teacher_top_k": "the code's configuration"}

    def __post_init__(self) -> None:
        """Refuse a teacher that keeps no token."""
        if self.teacher_top_k < 1:
            raise ValueError(f"teacher_top_k must be at least 1, found {self.teacher_top_k}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Let both models write a response to each prompt, then descend the KL at its tokens."""
        responses = tools.sample(teacher_top_k=self.teacher_top_k)
        loss = tools.mean_loss(
            responses, lambda log_q, log_p, rows: forward_kl(log_q, log_p), temperature=1.0
        )
        return loss, {"mean_length": len(responses.labels_N) / len(responses.samples)}
