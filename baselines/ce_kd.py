"""Cross-entropy on the gold token beside word-level distillation: the classic of two halves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Memory, Need, Reference, Run, TokenDivergence
from arkd.objectives import forward_kl, label_cross_entropy
from arkd.papers import HINTON

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CrossEntropyKD(TokenDivergence):
    """w·(−log q of the gold token) + (1 − w)·KL(p‖q), the temperature in the second part alone."""

    gold_weight: float = 0.5

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "labels")
    summary: ClassVar[str] = "half cross-entropy on the gold tokens, half forward KL"
    equation: ClassVar[str] = (
        "L = w·(−log q(y)) + (1 − w)·KL(p_T‖q_T), y the gold token, x_T ∝ x^(1/T)"
    )
    reference: ClassVar[Reference] = replace(HINTON, code="github.com/microsoft/LMOps@4f2a9de")
    deviations: ClassVar[tuple[str, ...]] = (
        "The code read is MiniLLM's baseline of this kind, word-level KD for language models; "
        "Hinton et al. found a considerably lower weight of the cross-entropy best in general.",
        "Hinton et al. multiply the soft part by T². `square_temperature` multiplies the whole "
        "loss, the cross-entropy too; without it the soft part fades as T rises. MiniLLM's is at "
        "T = 1, where there is no difference.",
        "The value keeps the teacher's entropy, so that the second part is a divergence; "
        "MiniLLM's code drops it, which changes no gradient.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "gold_weight": "MiniLLM's `kd_base.sh`: kd-ratio 0.5; DSKD's and ToDi's scripts likewise"
    }

    def __post_init__(self) -> None:
        """Refuse a weight that leaves one part out."""
        if not 0 < self.gold_weight < 1:
            raise ValueError(
                f"gold_weight must lie in (0, 1), found {self.gold_weight}; 0 is forward_kl, "
                "and 1 is sft"
            )

    def start(self, run: Run) -> Memory:
        """Keep the temperature: the cross-entropy takes it back."""
        return Memory(temperature=run.temperature)

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return both parts of each token, weighed."""
        assert log_p_NV is not None
        unsoftened_NV = (context.state.temperature * log_q_NV).log_softmax(-1)
        gold_N = label_cross_entropy(unsoftened_NV, labels_N)
        soft_N = forward_kl(log_q_NV, log_p_NV)
        return self.gold_weight * gold_N + (1 - self.gold_weight) * soft_N
