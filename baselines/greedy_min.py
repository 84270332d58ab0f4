"""The smaller of the two divergences at each step: ARKD's myopic rival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from arkd.method import Reference, Signals, WeightedDivergences, Weights


@dataclass(frozen=True)
class GreedyMin(WeightedDivergences):
    """α = 1 where the batch's forward KL is the smaller one, else 0."""

    summary: ClassVar[str] = "at each step, the smaller of the two divergences"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = 1[FKL < RKL]"
    reference: ClassVar[Reference] = Reference(
        title="ARKD (appendix D.3)",
        authors="Liu, Zhang, Xing, Qiao, Wang, Jiao",
        year=2026,
        url="https://arxiv.org/abs/2606.29869",
        bibtex="""@article{liu2026arkd,
  title   = {ARKD: Adaptive Reinforcement Learning-Guided Bidirectional KL Divergence
             Distillation for Text Generation},
  author  = {Liu, Zilong and Zhang, Xuewen and Xing, Jinrui and Qiao, Juyi and Wang, Huiyong
             and Jiao, Junming},
  journal = {arXiv preprint arXiv:2606.29869},
  year    = {2026}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "One choice a batch, from its mean divergences; a tie goes to reverse KL.",
    )

    def weights(self, step: int, steps: int, signals: Signals | None, state: Any) -> Weights:
        """All weight on the smaller divergence of this batch."""
        assert signals is not None
        alpha = float(signals.fkl_N.mean() < signals.rkl_N.mean())
        return Weights(alpha, 1 - alpha)
