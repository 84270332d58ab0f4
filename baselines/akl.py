"""Adaptive KL: each token weighs forward KL by its head gap and reverse KL by its tail gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from arkd.method import Reference, Signals, WeightedDivergences, Weights


@dataclass(frozen=True)
class Akl(WeightedDivergences):
    """g_head/(g_head + g_tail)·FKL + g_tail/(g_head + g_tail)·RKL at each token."""

    needs_gaps: ClassVar[bool] = True
    summary: ClassVar[str] = "per token, forward KL by the head's gap and reverse KL by the tail's"
    equation: ClassVar[str] = (
        "L = w·KL(p‖q) + (1 − w)·KL(q‖p), w = g_head/(g_head + g_tail), g = Σ|p − q| "
        "over the teacher's head (cumulative mass ≤ μ) or tail"
    )
    reference: ClassVar[Reference] = Reference(
        title="Rethinking Kullback-Leibler Divergence in Knowledge Distillation for LLMs",
        authors="Wu, Tao, Wang, Yang, Zhao, Wong",
        year=2024,
        url="https://arxiv.org/abs/2404.02657",
        code="github.com/wutaiqiang/LLM_KD_AKL@ff278be",
        bibtex="""@article{wu2024rethinking,
  title   = {Rethinking Kullback-Leibler Divergence in Knowledge Distillation
             for Large Language Models},
  author  = {Wu, Taiqiang and Tao, Chaofan and Wang, Jiahao and Yang, Runming
             and Zhao, Zhe and Wong, Ngai},
  journal = {arXiv preprint arXiv:2404.02657},
  year    = {2024}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The authors' sorting and mask are followed (descending, boundary token in the tail); "
        "two published re-implementations differ.",
        "The gaps are measured at the suite's temperature; the authors train at 1.",
        "Where q = p both gaps are 0 and the authors divide 0 by 0: both weights are 1/2 here, "
        "which changes nothing, since both divergences are 0 there.",
    )

    def weights(self, step: int, steps: int, signals: Signals | None, state: Any) -> Weights:
        """Return one weight a token; α of the log is their mean."""
        assert signals is not None
        assert signals.head_gap_N is not None
        assert signals.tail_gap_N is not None
        total_N = signals.head_gap_N + signals.tail_gap_N
        share_N = (signals.head_gap_N / total_N).where(total_N > 0, 0.5)
        return Weights(share_N, 1 - share_N)
