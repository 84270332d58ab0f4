"""An audit from its first call to its last."""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

import torch

from arkd.errors import ArkdError
from arkd.loss_audit import (
    check_divergence,
    check_numerics,
    check_positions,
    check_settings,
    check_support,
)
from arkd.loss_audit.facts import Audit, Fact
from arkd.loss_audit.probe import Refused
from arkd.loss_audit.subject import Subject
from arkd.loss_audit.targets import Target

Check = Callable[[Subject], Iterator[Fact]]
CHECKS: tuple[Check, ...] = (
    check_divergence.divergence,
    check_divergence.cross_entropy,
    check_divergence.value,
    check_divergence.agreement,
    check_divergence.beta,
    check_settings.temperature,
    check_positions.mask,
    check_positions.padding,
    check_positions.reduction,
    check_positions.micro_batches,
    check_support.support,
    check_settings.clamp,
    check_settings.vocabulary,
    check_numerics.teacher_gradient,
    check_numerics.impossible,
    check_numerics.bfloat16,
    check_numerics.repeat,
)


def audit(target: Target) -> Audit:
    """Measure every property of a loss.

    Raises:
        ArkdError: the loss refuses an ordinary batch, or one that differs from it in sizes alone.
    """
    facts: list[Fact] = []
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # stdout is the audit's alone
        warnings.simplefilter("ignore")  # the loss's own, on input made to provoke it
        subject = Subject(target)
        for check in CHECKS:
            try:
                facts += check(subject)
            except Refused as error:
                name = check.__name__.replace("_", " ")
                raise ArkdError(f"{target.name}: {name}: the loss raises {error}") from None
    environment = f"Python {platform.python_version()}, torch {torch.__version__}, CPU"
    return Audit(target.name, target.version, environment, target.declared.note, tuple(facts))
