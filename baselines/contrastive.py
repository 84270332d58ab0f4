"""DistiLLM-2's contrastive loss: skew KL on the teacher's responses, reverse on the student's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Memory, Need, Reference, Responses, Run, Source, Tools

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Contrastive(FullStep):
    """(2 − β)·SKL on y ~ p plus β·SRKL on y ~ q, the skew lower where a response is easy."""

    beta: float = 1.0
    skew: float = 0.1
    adaptive: bool = True
    skew_min: float = 0.01
    anchor_share: float = 0.1

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "teacher_samples", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ("teacher", "student")
    summary: ClassVar[str] = "skew KL on the teacher's responses, skew reverse KL on the student's"
    equation: ClassVar[str] = (
        "L = ½·[(2 − β)·KL(p‖αp + (1 − α)q) on y ~ p  +  β·KL(q‖(1 − α)p + αq) on y ~ q], "
        "α = clip(1 − (1 − α₀)·D̄/D, α_min, α₀), D = ±(p̂(y) − q̂(y)), p̂ the mean token probability"
    )
    reference: ClassVar[Reference] = Reference(
        title="DistiLLM-2: A Contrastive Approach Boosts the Distillation of LLMs",
        authors="Ko, Chen, Kim, Ding, Liang, Zharkov, Yun",
        year=2025,
        url="https://arxiv.org/abs/2503.07067",
        code="github.com/jongwooko/distillm-2@fe4cf9b",
        bibtex="""@inproceedings{ko2025distillm2,
  title     = {{DistiLLM-2}: A Contrastive Approach Boosts the Distillation of {LLM}s},
  author    = {Ko, Jongwoo and Chen, Tianyi and Kim, Sungnyun and Ding, Tianyu and Liang, Luming
               and Zharkov, Ilya and Yun, Se-Young},
  booktitle = {Proceedings of the 42nd International Conference on Machine Learning},
  year      = {2025},
  note      = {arXiv:2503.07067}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The two parts are averaged, so that the loss has the weight of every other method's.",
        "The adaptive skew is as their code writes it, with D̄ as a number and D without gradient. "
        "As released it never runs: a constant in the constructor switches it off. `adaptive: "
        "false` is the release.",
        "q within SRKL's mixture carries its gradient, as the definition has it and DistiLLM's "
        "code; theirs detaches it there, but not in SKL's.",
        "Means over tokens, as for every method; theirs are over tokens of a response, then over "
        "responses. The divergences are softened by the suite's temperature, D is not.",
        "Responses are sampled at temperature 1 and top-p 1; their script has 0.8 and 0.95.",
        "Both response sets are sampled once, the student's from the shared SFT start; so are "
        "theirs, by their scripts.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "beta": "code: 1; its rise to 1.5 is switched off in the constructor",
        "skew": "code: 0.1",
        "adaptive": "the method as described; the released code has it off",
        "skew_min": "code: 0.01",
        "anchor_share": "theirs: D̄ is the mean over the first 100 steps. A share serves any run",
    }

    def __post_init__(self) -> None:
        """Refuse parameters outside of their ranges."""
        if not 0 <= self.beta <= 2:
            raise ValueError(f"beta must lie in [0, 2], found {self.beta}")
        if not 0 <= self.skew <= 1:
            raise ValueError(f"skew must lie in [0, 1], found {self.skew}")
        if self.adaptive and not 0 <= self.skew_min <= self.skew:
            raise ValueError(f"skew_min must lie in [0, skew = {self.skew}], found {self.skew_min}")
        if not 0 < self.anchor_share <= 1:
            raise ValueError(f"anchor_share must lie in (0, 1], found {self.anchor_share}")

    def start(self, run: Run) -> Memory:
        """Start without gaps: D̄ is the mean of those of the first steps."""
        return Memory(teacher=[], student=[])

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Add up both parts, each with a skew for every response."""
        loss_T, skew_T = self._part("teacher", context, tools)
        loss_S, skew_S = self._part("student", context, tools)
        loss = 0.5 * ((2 - self.beta) * loss_T + self.beta * loss_S)
        return loss, {"skew_teacher": skew_T, "skew_student": skew_S}

    def _part(self, source: Source, context: Context, tools: Tools) -> tuple[Tensor, float]:
        responses = tools.responses(source)
        skew_B = self._skew(source, responses, context, tools)
        skew_N1 = skew_B[responses.sequence_N].unsqueeze(-1)

        # The objectives' skew_kl and skew_rkl, with a skew for each token.
        def skewed(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            x, y = (log_p_CV, log_q_CV) if source == "teacher" else (log_q_CV, log_p_CV)
            log_skew_C1, log_rest_C1 = skew_N1[rows].log(), (-skew_N1[rows]).log1p()
            return (x.exp() * (x - (log_skew_C1 + x).logaddexp(log_rest_C1 + y))).sum(-1)

        return tools.mean_loss(responses, skewed), float(skew_B.mean())

    def _skew(self, source: Source, responses: Responses, context: Context, tools: Tools) -> Tensor:
        """Return α of each response: the smaller, the smaller its gap beside the first ones'."""
        size = len(responses.samples)
        if not self.adaptive:
            return responses.labels_N.float().new_full((size,), self.skew)
        log_q_N, log_p_N = tools.log_probs(responses)
        tokens_B = responses.sequence_N.bincount(minlength=size).clamp_min(1)
        q_B, p_B = (
            (x_N.new_zeros(size).index_add(0, responses.sequence_N, x_N) / tokens_B).exp()
            for x_N in (log_q_N, log_p_N)
        )
        gap_B = p_B - q_B if source == "teacher" else q_B - p_B
        first = getattr(context.state, source)
        if context.step < max(1, round(self.anchor_share * context.steps)):
            first.append(float(gap_B.mean()))
            return gap_B.new_full((size,), self.skew)
        anchor = sum(first) / len(first)
        return (1 - (1 - self.skew) * anchor / (gap_B + 1e-5)).clamp(self.skew_min, self.skew)
