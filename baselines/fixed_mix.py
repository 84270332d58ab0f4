"""A constant mix of forward and reverse KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from arkd.method import Reference, Signals, WeightedDivergences, Weights


@dataclass(frozen=True)
class FixedMix(WeightedDivergences):
    """α·FKL + (1 − α)·RKL with a constant α, 0.5 by default."""

    alpha: float = 0.5

    reads_signals: ClassVar[bool] = False
    summary: ClassVar[str] = "a constant mix of forward and reverse KL"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p)"
    reference: ClassVar[Reference] = Reference(
        title="ARKD (its FKL+RKL row and static rows)",
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

    deviations: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Refuse an α that is no mix."""
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], found {self.alpha}")

    def weights(self, step: int, steps: int, signals: Signals | None, state: Any) -> Weights:
        """Return the constant weights."""
        return Weights(self.alpha, 1 - self.alpha)
