"""The batches that a loss is measured on.

Shapes: B sequences, T positions, V vocabulary, N scored positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORED = -100
VOCABULARY = 2048  # so many that a support of the usual 64 or 256 tokens is seen as one
# Prompt and response of each sequence, and the length that all are padded to. No two of tokens,
# sequences and padded positions stand in one ratio, so that each reduction is told apart.
LAYOUTS: tuple[tuple[tuple[tuple[int, int], ...], int], ...] = (
    (((3, 9), (5, 4), (2, 12), (4, 7)), 16),
    (((2, 6), (3, 8)), 12),
    (((3, 5), (4, 11), (2, 3)), 21),
)


@dataclass(frozen=True)
class Batch:
    """Logits of both models and the labels, −100 where nothing is scored."""

    student_BTV: Tensor
    teacher_BTV: Tensor
    labels_BT: Tensor

    def scored(self, shifted: bool) -> Tensor:
        """Return where logits are scored [B, T]: by their own label, or by the next one."""
        counted_BT = self.labels_BT != IGNORED
        if not shifted:
            return counted_BT
        return torch.cat([counted_BT[:, 1:], torch.zeros_like(counted_BT[:, :1])], dim=1)

    def sequence(self, number: int) -> Batch:
        """Return one sequence as a batch."""
        rows = slice(number, number + 1)
        return Batch(self.student_BTV[rows], self.teacher_BTV[rows], self.labels_BT[rows])

    def padded(self, positions: int) -> Batch:
        """Return the batch with more padding behind each sequence."""
        batch, _, vocabulary = self.student_BTV.shape
        zeros_BTV = self.student_BTV.new_zeros(batch, positions, vocabulary)
        labels_BT = torch.full((batch, positions), IGNORED)
        return Batch(
            torch.cat([self.student_BTV, zeros_BTV], dim=1),
            torch.cat([self.teacher_BTV, zeros_BTV], dim=1),
            torch.cat([self.labels_BT, labels_BT], dim=1),
        )

    def with_teacher(self, teacher_BTV: Tensor) -> Batch:
        """Return the batch with another teacher."""
        return replace(self, teacher_BTV=teacher_BTV)

    def with_student(self, student_BTV: Tensor) -> Batch:
        """Return the batch with another student."""
        return replace(self, student_BTV=student_BTV)


def draw(layout: int = 0, seed: int = 0, vocabulary: int = VOCABULARY) -> Batch:
    """Draw two models that agree in part, and labels from the teacher.

    Logits have a standard deviation of 2 and a correlation of 0.7.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths, positions = LAYOUTS[layout]
    shape = (len(lengths), positions, vocabulary)
    teacher_BTV = 2 * torch.randn(shape, generator=generator)
    noise_BTV = 2 * torch.randn(shape, generator=generator)
    student_BTV = 0.7 * teacher_BTV + 0.51**0.5 * noise_BTV
    probabilities_NV = teacher_BTV.flatten(0, 1).softmax(-1)
    labels_BT = probabilities_NV.multinomial(1, generator=generator).view(shape[:2])
    return Batch(student_BTV, teacher_BTV, _only_responses(labels_BT, lengths))


def alike(layout: int, seed: int = 1) -> Batch:
    """Draw one position and put it everywhere: gradients then differ by their weight alone."""
    drawn, (lengths, positions) = draw(seed=seed), LAYOUTS[layout]
    student_BTV, teacher_BTV = (
        x_BTV[:1, :1].repeat(len(lengths), positions, 1)
        for x_BTV in (drawn.student_BTV, drawn.teacher_BTV)
    )
    labels_BT = torch.full((len(lengths), positions), 7)
    return Batch(student_BTV, teacher_BTV, _only_responses(labels_BT, lengths))


def apart(spread: float, seed: int = 2) -> Batch:
    """Draw a student whose logits differ from the teacher's by noise of so much deviation."""
    drawn = draw(0, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    noise_BTV = torch.randn(drawn.teacher_BTV.shape, generator=generator)
    return drawn.with_student(drawn.teacher_BTV + spread * noise_BTV)


def _only_responses(labels_BT: Tensor, lengths: Sequence[tuple[int, int]]) -> Tensor:
    kept_BT = torch.full_like(labels_BT, IGNORED)
    for row, (prompt, response) in enumerate(lengths):
        kept_BT[row, prompt : prompt + response] = labels_BT[row, prompt : prompt + response]
    return kept_BT
