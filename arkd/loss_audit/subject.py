"""A loss under audit: what several checks ask of it, measured once.

Shapes: B sequences, T positions, N scored positions, V vocabulary.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from arkd.errors import ArkdError
from arkd.loss_audit import batches, fit
from arkd.loss_audit.batches import Batch
from arkd.loss_audit.fit import Blend, Fit, Rows
from arkd.loss_audit.probe import Measured, Refused, measure
from arkd.loss_audit.targets import WRITE, Target

HARD = ("cross_entropy", "sampled_rkl")  # no divergences: they look at labels


class Subject:
    """A loss, what it gives on the common batch, and what follows from that.

    Raises:
        ArkdError: the loss refuses the common batch, or gives no numbers on it.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declared = target.declared
        self.batch = batches.draw()
        try:
            self.base = measure(target, self.batch)
        except Refused as error:
            if isinstance(error.__cause__, ImportError):
                raise ArkdError(f"{target.name}: {error}; install what it needs") from None
            raise ArkdError(
                f"{target.name}: refuses a batch of logits {tuple(self.batch.student_BTV.shape)}, "
                f"labels {tuple(self.batch.labels_BT.shape)}: {error}; {WRITE}"
            ) from None
        if not self.base.finite:
            raise ArkdError(f"{target.name}: loss or gradient is no number on an ordinary batch")
        if not self.base.norm:
            raise ArkdError(f"{target.name}: its gradient is 0 everywhere on an ordinary batch")

    @cached_property
    def shifted(self) -> bool:
        """Whether logits at t are scored by labels[t + 1], by where the gradient is."""
        reached_BT = self.reached(self.base)
        agree = [int((reached_BT == self.batch.scored(shifted)).sum()) for shifted in (False, True)]
        return agree[1] > agree[0]

    @staticmethod
    def reached(measured: Measured) -> Tensor:
        """Return the positions that have a gradient [B, T]."""
        return measured.grad_BTV.norm(dim=-1) > 0

    def labels(self, batch: Batch) -> Tensor:
        """Return the label of each position's logits [B, T]."""
        if not self.shifted:
            return batch.labels_BT
        return torch.cat([batch.labels_BT[:, 1:], batch.labels_BT[:, :1]], dim=1)

    def rows(self, batch: Batch, measured: Measured) -> Rows:
        """Return the positions that count, with a gradient; of a batch of the common layout."""
        mask_BT = self.counted_BT
        return Rows(
            batch.student_BTV[mask_BT],
            batch.teacher_BTV[mask_BT],
            self.labels(batch)[mask_BT].clamp_min(0),
            measured.grad_BTV[mask_BT],
        )

    @cached_property
    def counted_BT(self) -> Tensor:
        """The positions of the common layout that are scored, or have a gradient all the same."""
        return self.batch.scored(self.shifted) | self.reached(self.base)

    @property
    def hard(self) -> bool:
        """Whether the loss looks at labels alone, and so is no divergence."""
        return self.reference.is_exact and self.reference.name in HARD

    @cached_property
    def base_rows(self) -> Rows:
        """The scored positions of the common batch."""
        return self.rows(self.batch, self.base)

    @cached_property
    def fit(self) -> Fit:
        """The divergence nearest to the gradient on the common batch."""
        return fit.nearest(self.base_rows)

    @cached_property
    def against_declared(self) -> Fit | None:
        """The declared divergence beside the gradient; None if nothing is declared."""
        name = self.declared.divergence
        if name is None:
            return None
        if self.declared.parameter is not None:
            return fit.against(self.base_rows, name, (self.declared.parameter,))
        return fit.nearest(self.base_rows, (name,))

    @cached_property
    def reference(self) -> Fit:
        """What further checks compare with: the declared divergence, else the nearest."""
        return self.against_declared or self.fit

    @cached_property
    def entropy_share(self) -> float:
        """How many times the teacher's entropy the value is above the reference's: 0, 0.5 or 1."""
        weight_N, value_N = self.reference.weight_N, self.reference.value_N
        above = self.base.value - float((weight_N * value_N).sum())
        share = above / float((weight_N * entropy(self.base_rows)).sum())
        return next((known for known in (0.5, 1.0) if abs(share - known) < 1e-3), 0.0)

    @cached_property
    def blend(self) -> Blend | None:
        """The mixture with cross-entropy of the labels that the gradient is; None if it is none."""
        if self.reference.is_exact or not self.reads_labels:
            return None
        found = fit.blend(self.base_rows)
        return found if found.error <= fit.EXACT else None

    @cached_property
    def followed(self) -> bool:
        """Whether a formula explains the gradient on the common batch, so that changes show."""
        return self.reference.is_exact or self.blend is not None

    @cached_property
    def reads_labels(self) -> bool:
        """Whether other labels at the same positions give another gradient."""
        changed_BT = self.batch.labels_BT.clone()
        counted_BT = changed_BT != batches.IGNORED
        changed_BT[counted_BT] = (changed_BT[counted_BT] + 911) % batches.VOCABULARY
        other = Batch(self.batch.student_BTV, self.batch.teacher_BTV, changed_BT)
        found = measure(self.target, other)
        return relative(found.grad_BTV, self.base.grad_BTV) > 1e-5


def entropy(rows: Rows) -> Tensor:
    """Return the teacher's entropy at each position [N] in nats."""
    log_p_NV = rows.teacher_NV.double().log_softmax(-1)
    return -(log_p_NV.exp() * log_p_NV).sum(-1)


def relative(found: Tensor, expected: Tensor) -> float:
    """Return ‖found − expected‖/‖expected‖; ‖found‖ where nothing is expected."""
    scale = float(expected.norm())
    gap = float((found - expected).norm())
    return gap / scale if scale else gap


def change(found: float, base: float) -> float:
    """Return |found − base|/|base|; |found| where the base is 0, as a surrogate's value may be."""
    gap = abs(found - base)
    return gap / abs(base) if base else gap
