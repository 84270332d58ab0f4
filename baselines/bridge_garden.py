"""Bridge-Garden hybrids: cross-entropy where the teacher is sure, word-level KD where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, Memory, Need, Reference, Run, Source, TokenDivergence
from arkd.objectives import forward_kl, label_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BridgeGarden(TokenDivergence):
    """λ·KL(p‖q) + (1 − λ)·(−log q of the token), λ by the teacher's certainty or the time."""

    scheme: Literal["confidence", "entropy", "curriculum"] = "confidence"
    exponent: float = 0.1
    warmup: float = 0.2
    soft_weight: float = 0.2

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "teacher_samples", "labels")
    responses: ClassVar[tuple[Source, ...]] = ("teacher",)
    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "cross-entropy and forward KL, mixed by how sure the teacher is"
    equation: ClassVar[str] = (
        "L = λ·KL(p_T‖q_T) + (1 − λ)·(−log q(y)), y ~ p, x_T ∝ x^(1/T); confidence: λ = 1 − p(y); "
        "entropy: λ = (Σ p^γ − 1)/(V^(1 − γ) − 1); curriculum: λ = λ_max·min(1, n/(w·steps))"
    )
    reference: ClassVar[Reference] = Reference(
        title="The Bridge-Garden Dilemma in LLM Distillation: Why Mixing Hard and Soft Labels "
        "Works",
        authors="Wang, Kacuila, Yang, Wang, Wu, Huang, Xu, Huang",
        year=2026,
        url="https://arxiv.org/abs/2605.26246",
        code="github.com/ghwang-s/bridge_garden_hybrid_kd_release@07f00fc",
        bibtex="""@inproceedings{wang2026bridge,
  title     = {The Bridge-Garden Dilemma in {LLM} Distillation: Why Mixing Hard and Soft Labels
               Works},
  author    = {Wang, Guanghui and Kacuila, Kaiwen Lv and Yang, Zhiyong and Wang, Zitai and
               Wu, Jin-Wen and Huang, Longtao and Xu, Qianqian and Huang, Qingming},
  booktitle = {Forty-third International Conference on Machine Learning},
  year      = {2026},
  note      = {arXiv:2605.26246}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code; of the paper the abstract and introduction were read.",
        "Their fourth scheme, guided by risk, is left out: the code's differs from what is said "
        "of the paper's, whose text was not to be had. `ce_kd` is the constant mix.",
        "On responses that the teacher sampled, which the paper calls hard labels; the code takes "
        "those of its data file.",
        "λ and the cross-entropy are at temperature 1, the divergence at the suite's; the code is "
        "at 1 throughout.",
        "The code adds the cross-entropy's sum over the tokens of all processes to a mean of the "
        "divergence over its own; here both are means over the batch.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "scheme": "the first of the code's README; its scripts set none",
        "exponent": "γ of the entropy scheme in the code",
        "warmup": "w of the curriculum in the code",
        "soft_weight": "λ_max of the curriculum in the code",
    }

    def __post_init__(self) -> None:
        """Refuse an unknown scheme and settings outside of their ranges."""
        if self.scheme not in ("confidence", "entropy", "curriculum"):
            raise ValueError(
                f"scheme must be confidence, entropy or curriculum, found {self.scheme}"
            )
        if not 0 < self.exponent < 1:
            raise ValueError(f"exponent must lie in (0, 1), found {self.exponent}")
        for name in ("warmup", "soft_weight"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in (0, 1], found {getattr(self, name)}")

    def start(self, run: Run) -> Memory:
        """Keep the temperature: λ and the cross-entropy take it back."""
        return Memory(temperature=run.temperature)

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return both parts of each token, weighed."""
        assert log_p_NV is not None
        q_NV, p_NV = (
            (context.state.temperature * log_x_NV).log_softmax(-1)
            for log_x_NV in (log_q_NV, log_p_NV)
        )
        soft: Tensor | float
        if self.scheme == "curriculum":
            warming = int(context.steps * self.warmup)
            soft = self.soft_weight * (min(1.0, context.step / warming) if warming else 1.0)
        elif self.scheme == "confidence":
            soft = 1 - (-label_cross_entropy(p_NV, labels_N)).exp()
        else:
            most = p_NV.shape[-1] ** (1 - self.exponent)
            soft = ((self.exponent * p_NV).exp().sum(-1) - 1) / (most - 1)
        hard_N = label_cross_entropy(q_NV, labels_N)
        return soft * forward_kl(log_q_NV, log_p_NV) + (1 - soft) * hard_N
