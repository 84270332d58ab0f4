"""Forward KL: the student covers what the teacher finds likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Context, Reference, Tools, WeightedDivergences, Weights


@dataclass(frozen=True)
class ForwardKL(WeightedDivergences):
    """Word-level distillation by KL(p‖q)."""

    summary: ClassVar[str] = "forward KL(p‖q) alone: word-level distillation"
    equation: ClassVar[str] = "L = KL(p‖q)"
    reference: ClassVar[Reference] = Reference(
        title="Distilling the Knowledge in a Neural Network",
        authors="Hinton, Vinyals, Dean",
        year=2015,
        url="https://arxiv.org/abs/1503.02531",
        bibtex="""@article{hinton2015distilling,
  title   = {Distilling the Knowledge in a Neural Network},
  author  = {Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
  journal = {arXiv preprint arXiv:1503.02531},
  year    = {2015}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "No cross-entropy on the gold answers is mixed in, as in the ARKD paper's FKL row.",
        "The value keeps the teacher's entropy, so that it is a divergence.",
    )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """All weight on forward KL."""
        return Weights(1.0, 0.0)
