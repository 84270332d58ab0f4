"""BD-KD: the divergence that the entropies call for weighs more, token by token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Axis, Context, Reference, Tools, WeightedDivergences, Weights


@dataclass(frozen=True)
class Bdkd(WeightedDivergences):
    """Forward KL weighs more where the teacher is the flatter one, reverse KL where the student."""

    stressed: float = 3.0
    plain: float = 1.0

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "per token, more forward KL if the teacher is flatter, else reverse"
    equation: ClassVar[str] = (
        "L = a·KL(p‖q) + b·KL(q‖p), a = 3 if H(p) > H(q) else 1, b = 3 if H(q) > H(p) else 1"
    )
    reference: ClassVar[Reference] = Reference(
        title="BD-KD: Balancing the Divergences for Online Knowledge Distillation",
        authors="Amara, Sepahvand, Meyer, Gross, Clark",
        year=2022,
        url="https://arxiv.org/abs/2212.12965",
        code="github.com/ghwang-s/abkd@df81318",
        bibtex="""@misc{amara2022bdkd,
  title         = {{BD-KD}: Balancing the Divergences for Online Knowledge Distillation},
  author        = {Amara, Ibtihel and Sepahvand, Nazanin and Meyer, Brett H.
                   and Gross, Warren J. and Clark, James J.},
  year          = {2022},
  eprint        = {2212.12965},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CV}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "As ABKD's `bdkd` has it for language models: per token and with a fixed teacher. The "
        "paper weighs images and trains the teacher along.",
        "The two parts are added, not averaged, as in that code: about four times the 0.5 mix.",
        "Entropies and divergences are those at the suite's temperature; the code is at 1.",
        "The value keeps the teacher's entropy, so that it is a divergence; the code drops it.",
        "ABKD's shipped script of this name never reaches the function, but trains 4·(1 − Σ√(pq)).",
    )
    defaults: ClassVar[dict[str, str]] = {
        "stressed": "ABKD's code (its comment says 2)",
        "plain": "ABKD's code",
    }

    def __post_init__(self) -> None:
        """Refuse weights that stress nothing."""
        if not (0 <= self.plain <= self.stressed < math.inf and self.stressed > 0):
            raise ValueError(
                f"0 ≤ plain ≤ stressed must hold with stressed > 0, found {self.plain} and "
                f"{self.stressed}"
            )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return two weights a token; where the entropies are equal both are plain."""
        signals = tools.signals()
        gap_N = signals.entropy_teacher_N - signals.entropy_student_N
        extra = self.stressed - self.plain
        return Weights(self.plain + extra * (gap_N > 0), self.plain + extra * (gap_N < 0))
