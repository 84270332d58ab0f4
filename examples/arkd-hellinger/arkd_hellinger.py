"""Squared Hellinger distance: an example of a method that lives in a package of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Reference, TokenDivergence

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Hellinger(TokenDivergence):
    """scale · (1 − Σ √(p·q)) at each token: bounded, symmetric, and zero where q = p."""

    scale: float = 4.0

    summary: ClassVar[str] = "squared Hellinger distance (an example package)"
    equation: ClassVar[str] = "L = c·(1 − Σ √(p·q))"
    reference: ClassVar[Reference] = Reference(
        title="ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge "
        "Distillation via α-β-Divergence",
        authors="Wang, Yang, Wang, Wang, Xu, Huang",
        year=2025,
        url="https://arxiv.org/abs/2505.04560",
        bibtex="""@inproceedings{wang2025abkd,
  title     = {{ABKD}: Pursuing a Proper Allocation of the Probability Mass in Knowledge
               Distillation via $\\alpha$-$\\beta$-Divergence},
  author    = {Wang, Guanghui and Yang, Zhiyong and Wang, Zitai and Wang, Shi and Xu, Qianqian
               and Huang, Qingming},
  booktitle = {Proceedings of the 42nd International Conference on Machine Learning},
  year      = {2025}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The paper's α-β-divergence at (0.5, 0.5) alone, without its other terms of training.",
    )
    defaults: ClassVar[dict[str, str]] = {"scale": "the α-β-divergence at (0.5, 0.5) has 4"}

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the distance at each token [N]."""
        assert log_p_NV is not None
        return self.scale * (1 - (0.5 * (log_q_NV + log_p_NV)).exp().sum(-1))

    def oracle(self, p_NV: Tensor, q_NV: Tensor, labels_N: Tensor) -> Tensor:
        """The same from probabilities in float64, for `arkd check` to compare with [N]."""
        return self.scale * 0.5 * ((p_NV.sqrt() - q_NV.sqrt()) ** 2).sum(-1)
