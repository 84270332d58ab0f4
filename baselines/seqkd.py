"""Sequence-level distillation: fine-tuning on responses that the teacher sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Reference, Source, TokenDivergence
from arkd.objectives import label_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SeqKD(TokenDivergence):
    """Cross-entropy of the teacher's response."""

    needs_teacher: ClassVar[bool] = False  # its values; its samples come with `responses`
    softened: ClassVar[bool] = False
    responses: ClassVar[tuple[Source, ...]] = ("teacher",)
    summary: ClassVar[str] = "cross-entropy on responses sampled from the teacher"
    equation: ClassVar[str] = "L = −log q(y'), y' ~ p"
    reference: ClassVar[Reference] = Reference(
        title="Sequence-Level Knowledge Distillation",
        authors="Kim, Rush",
        year=2016,
        url="https://arxiv.org/abs/1606.07947",
        bibtex="""@inproceedings{kim2016sequence,
  title     = {Sequence-Level Knowledge Distillation},
  author    = {Kim, Yoon and Rush, Alexander M.},
  booktitle = {EMNLP},
  year      = {2016}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "One sample a prompt at temperature 1 and top-p 1 in place of the paper's beam search, as "
        "the distillation literature on language models has it.",
        "The samples are shared by all training seeds.",
        "Plain cross-entropy; MiniLLM's script of this name adds word-level distillation.",
    )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, source: Source
    ) -> Tensor:
        """Return −log q of each label."""
        return label_cross_entropy(log_q_NV, labels_N)
