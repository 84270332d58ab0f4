"""Adaptive KL: each token weighs forward KL by its head gap and reverse KL by its tail gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Axis, Context, Reference, TokenDivergence
from arkd.objectives import adaptive_kl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Akl(TokenDivergence):
    """g_head/(g_head + g_tail)·FKL + g_tail/(g_head + g_tail)·RKL, in three published versions."""

    version: Literal["authors", "dskd", "taid"] = "authors"
    threshold: float = 0.5

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "per token, forward KL by the head's gap and reverse KL by the tail's"
    equation: ClassVar[str] = (
        "L = w·KL(p‖q) + (1 − w)·KL(q‖p), w = g_head/(g_head + g_tail), g = Σ|p − q| "
        "over the teacher's head (cumulative mass ≤ μ) or tail"
    )
    reference: ClassVar[Reference] = Reference(
        title="Rethinking Kullback-Leibler Divergence in Knowledge Distillation for LLMs",
        authors="Wu, Tao, Wang, Yang, Zhao, Wong",
        year=2025,
        url="https://arxiv.org/abs/2404.02657",
        code="github.com/wutaiqiang/LLM_KD_AKL@ff278be",
        bibtex="""@inproceedings{wu2025rethinking,
  title     = {Rethinking {K}ullback-{L}eibler Divergence in Knowledge Distillation
               for Large Language Models},
  author    = {Wu, Taiqiang and Tao, Chaofan and Wang, Jiahao and Yang, Runming
               and Zhao, Zhe and Wong, Ngai},
  booktitle = {Proceedings of the 31st International Conference on Computational Linguistics},
  pages     = {5737--5755},
  year      = {2025},
  publisher = {Association for Computational Linguistics},
  note      = {arXiv:2404.02657}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Version `authors` is their code: teacher's probabilities descending, the token on the "
        "boundary in the tail, the first token always in the head, weights without gradient.",
        "Version `dskd` is songmzhang/DSKD@077337a: ascending, the boundary token in the head. It "
        "equals the authors' wherever the teacher's first token has more than half the mass.",
        "Version `taid` is SakanaAI/TAID@a062892 as it stands: the mask over sorted tokens lies "
        "on unsorted gaps, the weights carry a gradient, and forward KL lacks the teacher's "
        "entropy, so that the value is no divergence. Nearly pure reverse KL.",
        "Where q = p both gaps are 0 and all three divide 0 by 0: both weights are ½ here.",
        "At the suite's temperature; the authors' and TAID's code are at 1.",
        "No cross-entropy beside it: the harness that the authors build on mixes in one half, and "
        "the suite none to any divergence method.",
        "Infinite logits count as probability 0; the authors set them to 0 within the weights.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "version": "the authors' own",
        "threshold": "μ of the paper and of the authors' code; in dskd and taid it bounds the "
        "tail's mass, with the same default",
    }

    def __post_init__(self) -> None:
        """Refuse an unknown version and a threshold that splits nothing."""
        if self.version not in ("authors", "dskd", "taid"):
            raise ValueError(f"version must be authors, dskd or taid, found {self.version}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must lie in (0, 1), found {self.threshold}")

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the weighted divergences of each token."""
        assert log_p_NV is not None
        return adaptive_kl(log_q_NV, log_p_NV, self.threshold, self.version)
