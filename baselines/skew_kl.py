"""Skew KL: forward KL to a mixture that holds some of the teacher itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import skew_kl
from arkd.papers import DISTILLM

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SkewKL(TokenDivergence):
    """DistiLLM's forward objective; at skew 0 it is forward KL."""

    skew: float = 0.1

    summary: ClassVar[str] = "skew forward KL (DistiLLM's), on the gold responses"
    equation: ClassVar[str] = "L = KL(p‖α·p + (1 − α)·q)"
    reference: ClassVar[Reference] = replace(DISTILLM, code="github.com/jongwooko/distillm@d47e77f")
    deviations: ClassVar[tuple[str, ...]] = (
        "The loss alone, on the gold responses: DistiLLM's adaptive use of student samples with "
        "its replay buffer is another part of that paper.",
        "The value keeps the teacher's entropy, so that it is a divergence; the code drops it.",
        "At the suite's temperature; the code trains at 1.",
        "The language-modelling loss beside it is the suite's λ·L_pt, the same for every method.",
        "The mixture is formed in the logarithm; the code takes log of a float32 mixture.",
    )
    defaults: ClassVar[dict[str, str]] = {"skew": "the paper and the authors' code"}

    def __post_init__(self) -> None:
        """Refuse a skew that leaves no student in the mixture."""
        if not 0 <= self.skew < 1:
            raise ValueError(f"skew must lie in [0, 1), found {self.skew}")

    @property
    def allows_zeros(self) -> bool:
        """Tokens without probability have no term."""
        return True

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the skew KL divergence."""
        assert log_p_NV is not None
        return skew_kl(log_q_NV, log_p_NV, self.skew)
