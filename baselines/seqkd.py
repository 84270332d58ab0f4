"""Sequence-level distillation: fine-tuning on responses that the teacher sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Need, Reference, Source, TokenDivergence
from arkd.objectives import label_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SeqKD(TokenDivergence):
    """Cross-entropy of the teacher's response."""

    needs: ClassVar[tuple[Need, ...]] = ("teacher_samples", "labels")
    softened: ClassVar[bool] = False
    responses: ClassVar[tuple[Source, ...]] = ("teacher",)
    summary: ClassVar[str] = "cross-entropy on responses sampled from the teacher"
    equation: ClassVar[str] = "L = −log q(y'), y' ~ p"
    reference: ClassVar[Reference] = Reference(
        title="Sequence-Level Knowledge Distillation",
        authors="Kim, Rush",
        year=2016,
        url="https://arxiv.org/abs/1606.07947",
        code="github.com/microsoft/LMOps@4f2a9de",  # its baseline of this name
        bibtex="""@inproceedings{kim2016sequence,
  title     = {Sequence-Level Knowledge Distillation},
  author    = {Kim, Yoon and Rush, Alexander M.},
  booktitle = {Proceedings of the 2016 Conference on Empirical Methods in Natural Language
               Processing},
  year      = {2016},
  note      = {arXiv:1606.07947}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "One sample a prompt at temperature 1 and top-p 1 in place of the paper's beam search, as "
        "in MiniLLM's scripts.",
        "The samples are shared by all training seeds.",
        "Plain cross-entropy; MiniLLM's script of this name averages it with word-level "
        "distillation, and DistiLLM's has the latter alone.",
        "Trained on what the teacher sampled. MiniLLM's scripts, run unedited, train on the gold "
        "answers instead: the samples lie in a field that the next script does not read.",
        "A sample that is cut at the longest length has no EOS; their re-encoding appends one.",
    )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return −log q of each label."""
        return label_cross_entropy(log_q_NV, labels_N)
