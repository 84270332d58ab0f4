"""vOPD: the sampled gradient of reverse KL with its own mean as a baseline, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Need, Reference, Source, Tools
from arkd.objectives import reverse_kl, sampled_cost

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ControlVariate(FullStep):
    """(log q(y_t) − log p(y_t) − KL(q‖p))·∇log q(y_t), y ~ q; the KL over q's top tokens or all."""

    baseline_top_k: int | None = None

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "on-policy reverse KL by the sampled token, less its mean (vOPD)"
    equation: ClassVar[str] = (
        "∇L = (log q(y_t) − log p(y_t) − b_t)·∇log q(y_t), y ~ q, b_t = KL(q‖p) at t, without "
        "gradient; with k: that of both models over the student's top-k, normalised"
    )
    reference: ClassVar[Reference] = Reference(
        title="KL for a KL: On-Policy Distillation with Control Variate Baseline",
        authors="Oh, Song, Choi, Choi, Jo",
        year=2026,
        url="https://arxiv.org/abs/2605.07865",
        code="github.com/holi-lab/vOPD@c77a078",
        bibtex="""@misc{oh2026kl,
  title         = {{KL} for a {KL}: On-Policy Distillation with Control Variate Baseline},
  author        = {Oh, Minjae and Song, Sangjun and Choi, Gyubin and Choi, Yunho and Jo, Yohan},
  year          = {2026},
  eprint        = {2605.07865},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code; of the paper the abstract was read.",
        "One gradient step a draw, so that no ratio to an older student is needed or clipped.",
        "The value is the mean log-ratio, an estimate of KL(q‖p); that of the code's loss, centred "
        "by the baseline, is about 0.",
        "The baseline over the whole vocabulary is `opd` with estimator: sampled and baseline: "
        "closed_form, but for the value.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "baseline_top_k": "none: the whole vocabulary, as in the code where its option is not set"
    }

    def __post_init__(self) -> None:
        """Refuse a baseline over less than one token."""
        if self.baseline_top_k is not None and self.baseline_top_k < 1:
            raise ValueError(f"baseline_top_k must be at least 1, found {self.baseline_top_k}")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, then descend the reverse KL at its tokens."""
        responses = tools.sample()
        labels_N = responses.labels_N

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            label_C1 = labels_N[rows, None]
            log_q_C, log_p_C = (x.gather(-1, label_C1).squeeze(-1) for x in (log_q_CV, log_p_CV))
            baseline_C = self._baseline(log_q_CV.detach(), log_p_CV)
            cost_C = log_q_C.detach() - log_p_C - baseline_C
            return sampled_cost(cost_C, log_q_C) + baseline_C

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        return loss, {"mean_length": len(labels_N) / len(responses.samples)}

    def _baseline(self, log_q_CV: Tensor, log_p_CV: Tensor) -> Tensor:
        if self.baseline_top_k is not None and self.baseline_top_k < log_q_CV.shape[-1]:
            top_CK = log_q_CV.topk(self.baseline_top_k, dim=-1).indices
            log_q_CV, log_p_CV = (x.gather(-1, top_CK) for x in (log_q_CV, log_p_CV))
            log_q_CV, log_p_CV = log_q_CV.log_softmax(-1), log_p_CV.log_softmax(-1)
        return reverse_kl(log_q_CV, log_p_CV)
