"""One call of a loss: its value, and the gradient on the logits of both models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arkd.errors import ArkdError
from arkd.loss_audit.batches import IGNORED, Batch
from arkd.loss_audit.targets import Target
from arkd.time_limit import Late, within

LIMIT_S = 120.0  # of one call on a batch of a few hundred tokens


class Refused(Exception):
    """The loss raised an error of its own; what it said."""


@dataclass(frozen=True)
class Measured:
    """What a call gave.

    Attributes:
        value: The loss; the sum, where there is one a token.
        grad_BTV: Its gradient on the student's logits, in float64.
        teacher_BTV: And on the teacher's; None where it does not reach them.
        shape: Of what the loss returned; () for one number.
    """

    value: float
    grad_BTV: Tensor
    teacher_BTV: Tensor | None
    shape: tuple[int, ...]

    @property
    def finite(self) -> bool:
        """Whether value and gradient are numbers."""
        return math.isfinite(self.value) and bool(self.grad_BTV.isfinite().all())

    @property
    def norm(self) -> float:
        """The gradient's norm."""
        return float(self.grad_BTV.norm())


def measure(
    target: Target,
    batch: Batch,
    *,
    dtype: torch.dtype = torch.float32,
    teacher_gradient: bool = False,
    **knobs: float,
) -> Measured:
    """Call a loss and take its gradient.

    Args:
        target: The loss.
        batch: What it is given.
        dtype: Of the logits.
        teacher_gradient: Whether the teacher's logits ask for a gradient as well.
        **knobs: `temperature` and `beta`; given where it takes them.

    Raises:
        Refused: the loss raises an error.
        ArkdError: what it returns is no loss.
    """
    student_BTV = batch.student_BTV.to(dtype).clone().requires_grad_()
    teacher_BTV = batch.teacher_BTV.to(dtype).clone().requires_grad_(teacher_gradient)
    given = {
        "student": student_BTV,
        "teacher": teacher_BTV,
        "labels": batch.labels_BT.clone(),
        "mask": batch.labels_BT != IGNORED,
        "temperature": 1.0,
        **knobs,
    }
    try:
        with within(LIMIT_S), torch.enable_grad():  # whatever its module has set, or it sets itself
            returned = _tensor(target.name, target.call(given))
        if not returned.requires_grad:
            raise ArkdError(f"{target.name}: its loss has no gradient on the student's logits")
        wanted = (student_BTV, teacher_BTV) if teacher_gradient else (student_BTV,)
        total = returned.sum()
        grads = torch.autograd.grad(total, wanted, allow_unused=True)
    except (ArkdError, KeyboardInterrupt):
        raise
    except Late:
        raise ArkdError(
            f"{target.name}: a call of the loss was not done after {LIMIT_S:g} s"
        ) from None
    except (Exception, SystemExit) as error:  # whatever another's code raises is what is to be told
        lines = str(error).strip().splitlines() or [""]
        raise Refused(f"{type(error).__name__}: {lines[0][:160]}") from error
    student = torch.zeros_like(student_BTV) if grads[0] is None else grads[0]
    teacher = grads[1].double() if teacher_gradient and grads[1] is not None else None
    return Measured(float(total), student.double(), teacher, tuple(returned.shape))


def _tensor(name: str, returned: Any) -> Tensor:
    """Return the loss of what a function returns: itself, the first of a tuple, or `loss`."""
    if isinstance(returned, tuple | list) and returned:
        returned = returned[0]
    if isinstance(returned, Mapping) and "loss" in returned:
        returned = returned["loss"]
    if not isinstance(returned, Tensor):
        raise ArkdError(f"{name}: returns {type(returned).__name__}, no tensor of the loss")
    return returned
