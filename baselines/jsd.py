"""Generalised Jensen–Shannon divergence: GKD's divergence between forward and reverse KL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Reference, TokenDivergence
from arkd.objectives import jsd
from arkd.papers import GKD

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Jsd(TokenDivergence):
    """Both models against their mixture m; β is the teacher's share of it."""

    beta: float = 0.5

    summary: ClassVar[str] = "generalised Jensen–Shannon divergence (GKD's), on the gold responses"
    equation: ClassVar[str] = "L = β·KL(p‖m) + (1 − β)·KL(q‖m), m = β·p + (1 − β)·q"
    reference: ClassVar[Reference] = replace(GKD, code="github.com/huggingface/trl@f2cd577")
    deviations: ClassVar[tuple[str, ...]] = (
        "Teacher-forced on the gold responses, so that the divergence alone is compared; GKD also "
        "trains on the student's own samples.",
        "At the suite's temperature; TRL's loss is always at 1 (its 0.9 softens the sampling).",
        "β = 0 and β = 1 are refused: the formula is 0 there, and TRL's code turns to the unscaled "
        "KLs; `forward_kl` and `reverse_kl` are these.",
        "Not rescaled: for small β it is β·KL(p‖q), so β also scales the loss, as in TRL.",
        "DistiLLM and ABKD name the student's share λ = 1 − β, with defaults 0.9 and 0.1; neither "
        "is the default here.",
    )
    defaults: ClassVar[dict[str, str]] = {"beta": "TRL's GKDConfig"}

    def __post_init__(self) -> None:
        """Refuse a β that leaves no mixture."""
        if not 0 < self.beta < 1:
            raise ValueError(f"beta must lie in (0, 1), found {self.beta}")

    @property
    def allows_zeros(self) -> bool:
        """The mixture has probability wherever a model has."""
        return True

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the generalised Jensen–Shannon divergence."""
        assert log_p_NV is not None
        return jsd(log_q_NV, log_p_NV, self.beta)
