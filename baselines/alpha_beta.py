"""α–β-divergence: one family with both KLs at its corners (ABKD)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import alpha_beta

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 0.01  # nearer to 0, float32 rounding outweighs the formula's differences


@dataclass(frozen=True)
class AlphaBeta(TokenDivergence):
    """(1, 0) is forward KL, (0, 1) reverse KL."""

    alpha: float = 0.2
    beta: float = 0.7

    summary: ClassVar[str] = "α–β-divergence (ABKD's), on the gold responses"
    equation: ClassVar[str] = (
        "L = −1/(αβ)·Σ[p^α·q^β − α/(α+β)·p^(α+β) − β/(α+β)·q^(α+β)]; at 0, its limit"
    )
    reference: ClassVar[Reference] = Reference(
        title="ABKD: Pursuing a Proper Allocation of the Probability Mass in Knowledge "
        "Distillation via α-β-Divergence",
        authors="Wang, Yang, Wang, Wang, Xu, Huang",
        year=2025,
        url="https://arxiv.org/abs/2505.04560",
        code="github.com/ghwang-s/abkd@df81318",
        bibtex="""@inproceedings{wang2025abkd,
  title     = {{ABKD}: Pursuing a Proper Allocation of the Probability Mass in Knowledge
               Distillation via $\\alpha$-$\\beta$-Divergence},
  author    = {Wang, Guanghui and Yang, Zhiyong and Wang, Zitai and Wang, Shi and Xu, Qianqian
               and Huang, Qingming},
  booktitle = {Proceedings of the 42nd International Conference on Machine Learning},
  year      = {2025},
  note      = {arXiv:2505.04560}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "At α = 0 and at β = 0 the limit of the formula, 1/β² and 1/α² before the sum; the code "
        "has 1/β and 1/α, which agrees at 1 only.",
        "Negative parameters are refused: powers of vanishing probabilities have no bound. With "
        "them goes the code's branch α + β = 0, except at (0, 0).",
        "p^α·q^β is formed in the logarithm; the code multiplies powers, which underflow.",
        "On the gold responses and at the suite's temperature; the code runs at 1, within "
        "DistiLLM's harness with its student samples.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "alpha": "the paper's instruction-following runs; the code's own default is 0.5",
        "beta": "the paper's instruction-following runs; the code's own default is 0.5",
    }

    def __post_init__(self) -> None:
        """Refuse parameters at which the sum is unbounded or lost in rounding."""
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if value != 0 and not SMALLEST <= value <= 10:
                raise ValueError(f"{name} must be 0 or lie in [{SMALLEST}, 10], found {value}")

    @property
    def allows_zeros(self) -> bool:
        """Whether p is taken to a power, and not its logarithm."""
        return self.alpha > 0

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the α–β-divergence."""
        assert log_p_NV is not None
        return alpha_beta(log_q_NV, log_p_NV, self.alpha, self.beta)
