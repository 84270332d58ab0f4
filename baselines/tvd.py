"""Total variation distance: the symmetric, bounded member of f-distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import tvd

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tvd(TokenDivergence):
    """Half the sum of absolute differences, between 0 and 1."""

    summary: ClassVar[str] = "total variation distance, on the gold responses"
    equation: ClassVar[str] = "L = ½·Σ|p − q|"
    reference: ClassVar[Reference] = Reference(
        title="f-Divergence Minimization for Sequence-Level Knowledge Distillation",
        authors="Wen, Li, Du, Mou",
        year=2023,
        url="https://arxiv.org/abs/2307.15190",
        code="github.com/jongwooko/distillm@d47e77f",
        bibtex="""@inproceedings{wen2023fdivergence,
  title     = {f-Divergence Minimization for Sequence-Level Knowledge Distillation},
  author    = {Wen, Yuqiao and Li, Zichao and Du, Wenyu and Mou, Lili},
  booktitle = {Proceedings of the 61st Annual Meeting of the Association for Computational
               Linguistics (Volume 1: Long Papers)},
  pages     = {10817--10834},
  year      = {2023},
  publisher = {Association for Computational Linguistics},
  doi       = {10.18653/v1/2023.acl-long.605}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Token by token on the gold responses, as DistiLLM's `tv_distance`, the code read here; "
        "the paper decomposes a sequence-level divergence over sampled responses.",
        "At the suite's temperature; DistiLLM's code trains at 1.",
    )

    @property
    def allows_zeros(self) -> bool:
        """No logarithm is taken."""
        return True

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the total variation distance."""
        assert log_p_NV is not None
        return tvd(log_q_NV, log_p_NV)
