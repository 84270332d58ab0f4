"""ToDi: forward or reverse KL for each entry of the vocabulary, by which model gives it more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, Reference, TokenDivergence
from arkd.objectives import todi

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ToDi(TokenDivergence):
    """The forward term weighs more where the student gives too little, else the reverse term."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "forward and reverse KL mixed per vocabulary entry, by p against q"
    equation: ClassVar[str] = (
        "L = Σ_i w_i·p_i·log(p_i/q_i) + (1 − w_i)·q_i·log(q_i/p_i), "
        "w_i = sg σ(log p_i − log q_i); its value is KL(p‖q) + KL(q‖p)"
    )
    reference: ClassVar[Reference] = Reference(
        title="ToDi: Token-wise Distillation via Fine-Grained Divergence Control",
        authors="Jung, Yoon, Kim, Lee",
        year=2025,
        url="https://arxiv.org/abs/2505.16297",
        code="github.com/jungseongryong/ToDi@45f1f8b",
        bibtex="""@inproceedings{jung2025todi,
  title     = {{T}o{D}i: Token-wise Distillation via Fine-Grained Divergence Control},
  author    = {Jung, Seongryong and Yoon, Suwan and Kim, DongGeon and Lee, Hwanhee},
  booktitle = {Proceedings of the 2025 Conference on Empirical Methods in Natural Language
               Processing},
  pages     = {8089--8102},
  year      = {2025},
  publisher = {Association for Computational Linguistics},
  doi       = {10.18653/v1/2025.emnlp-main.409}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "No cross-entropy beside it: the authors mix in one half, and the suite none to any "
        "divergence method.",
        "At the suite's temperature, and with T² if the suite says so; the authors' GPT-2 script "
        "has T = 2 without T².",
    )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return ToDi's loss, its weights without gradient."""
        assert log_p_NV is not None
        return todi(log_q_NV, log_p_NV)
