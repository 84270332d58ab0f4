"""The element-wise work of a block by one kernel of Triton, where there is a GPU to run it.

The operators of `arkd.divergence.signals` read and write a block some forty times; this reads both
models' logits once for the values, and once more, writing once, for the gradient. They remain what
is computed everywhere else, and what this is tested against. It serves float32 blocks on a GPU
where Triton is installed, unless the suite says `kernels: portable`.

Shapes: N valid tokens, C of them in a block, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from arkd import kernels
from arkd.errors import ArkdError
from arkd.objectives import LOG_ZERO

Variance = Literal["probabilities", "logits"]

BLOCK = 1024  # columns that a program works on at once
WARPS = 8  # of a program: with such blocks no register is spilled, and several fit a processor
VALUES, SIGNALS = 2, 7  # rows of what a kernel returns: both divergences; with the other signals
TOLERANCE = 1e-4  # of the check on a new device, relative to the largest exact value

_off: list[bool] = []


@contextmanager
def switched_off() -> Iterator[None]:
    """Run the operators everywhere, to be compared with."""
    _off.append(True)
    try:
        yield
    finally:
        _off.pop()


def serves(student_CV: Tensor, teacher_CV: Tensor) -> bool:
    """Tell whether blocks of logits are of the kind and in the place that the kernel is for.

    Raises:
        ArkdError: they are, and the kernel cannot be compiled or is wrong on this device.
    """
    if _off or not (student_CV.is_cuda and installed()) or kernels.chosen() == "portable":
        return False
    if not all(x.dtype == torch.float32 and x.is_contiguous() for x in (student_CV, teacher_CV)):
        return False
    _check(student_CV.device)
    return True


@cache
def installed() -> bool:
    """Tell whether there is Triton, without loading it."""
    return find_spec("triton") is not None


def weighted(
    student_CV: Tensor, teacher_CV: Tensor, temperature: float, a_C: Tensor, b_C: Tensor
) -> Tensor:
    """Return FKL and RKL of each row [2, C]; the gradient takes the place of the student's logits.

    Args:
        student_CV: The student's logits; overwritten by ∂(a·FKL + b·RKL)/∂z_s.
        teacher_CV: The teacher's logits.
        temperature: What both are divided by.
        a_C: The weight of FKL.
        b_C: The weight of RKL.
    """
    slopes = [(x_C / temperature).contiguous() for x_C in (a_C, b_C)]
    return _launch(student_CV, teacher_CV, temperature, VALUES, None, slopes, False, 1)


def measured(
    student_CV: Tensor,
    teacher_CV: Tensor,
    temperature: float,
    labels_C: Tensor,
    variance: Variance,
    gradients: bool = False,
) -> Tensor:
    """Return the first seven fields of `Signals` of each row [7, C].

    Args:
        student_CV: The student's logits; overwritten by ∂FKL/∂z_s if gradients are asked for.
        teacher_CV: The teacher's logits; overwritten by ∂RKL/∂z_s if gradients are asked for.
        temperature: What both are divided by, except for −log q of the labels.
        labels_C: The response's own tokens.
        variance: Of what the variances are taken over the vocabulary.
        gradients: Whether the gradients of both divergences are formed.
    """
    vocabulary, of_logits = student_CV.shape[1], variance == "logits"
    found = _launch(
        *(student_CV, teacher_CV, temperature, SIGNALS, labels_C.contiguous(), None),
        *(of_logits, 2 if gradients else 0),
    )
    spread = found[4:6].div_(vocabulary)
    if not of_logits:  # the mean of probabilities is known to be 1/V
        spread.sub_(1 / vocabulary**2).clamp_min_(0)
    return found


def _launch(
    student_CV: Tensor,
    teacher_CV: Tensor,
    temperature: float,
    count: int,
    labels_C: Tensor | None,
    slopes: list[Tensor] | None,
    of_logits: bool,
    gradients: int,
) -> Tensor:
    """Run one program a row; return what it writes of values [K, C]."""
    from arkd.divergence.triton_rows import divergence_rows

    rows, vocabulary = student_CV.shape
    values_KC = student_CV.new_empty(count, rows)
    if rows == 0:
        return values_KC
    # What a kernel does not read is any tensor.
    a_C, b_C = slopes or (values_KC, values_KC)
    labels_C = values_KC if labels_C is None else labels_C
    where: Any = torch.cuda.device(student_CV.device) if student_CV.is_cuda else nullcontext()
    with where:
        divergence_rows[(rows,)](
            *(student_CV, teacher_CV, labels_C, a_C, b_C, values_KC),
            *(rows, vocabulary, 1 / temperature),
            LOG_ZERO=LOG_ZERO,
            SOFTENED=temperature != 1,
            SIGNALS=count == SIGNALS,
            OF_LOGITS=of_logits,
            GRADIENTS=gradients,
            BLOCK=BLOCK,
            num_warps=WARPS,
        )
    return values_KC


@cache
def _check(device: torch.device) -> None:
    """Compare the kernel with the formulas in float64, once a process and device.

    Raises:
        ArkdError: it cannot be compiled there, or differs by more than rounding.
    """
    try:
        off = largest_difference(device)
    except Exception as error:  # whatever a compiler and a driver raise
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ArkdError(
            f"kernels: Triton's cannot run on this GPU ({line}); set `kernels: portable` in the "
            "suite, which runs PyTorch's operators alone (docs/performance.md)"
        ) from error
    if not off <= TOLERANCE:
        raise ArkdError(
            f"kernels: on this GPU Triton's differ by {off:.1e} from the formulas that they stand "
            "for; set `kernels: portable` in the suite and please report it (docs/performance.md)"
        )


def largest_difference(device: torch.device | str) -> float:
    """Return by how much values and gradients differ from the formulas, computed in float64.

    Relative to the largest of each kind; −inf and a vocabulary of several blocks are among them.
    """
    generator, temperature = torch.Generator().manual_seed(0), 2.0
    z_s, z_t = (4 * torch.randn(3, 2 * BLOCK + 5, generator=generator) for _ in range(2))
    z_s[1, 7], z_t[2, BLOCK:] = -torch.inf, -torch.inf
    a_C, b_C = torch.tensor([1.0, 0.25, 0.0]), torch.tensor([0.0, 0.75, 1.0])
    log_q, log_p = (
        (z.double() / temperature).log_softmax(-1).clamp_min(LOG_ZERO) for z in (z_s, z_t)
    )
    q, p, gap = log_q.exp(), log_p.exp(), log_q - log_p
    fkl, rkl = -(p * gap).sum(-1), (q * gap).sum(-1)
    of_fkl, of_rkl = (q - p) / temperature, q * (gap - rkl[:, None]) / temperature
    mixed = a_C[:, None] * of_fkl + b_C[:, None] * of_rkl
    student, teacher, first, second = (z.to(device).clone() for z in (z_s, z_t, z_s, z_t))
    values = weighted(student, teacher, temperature, a_C.to(device), b_C.to(device))
    labels_C = torch.arange(3, device=device)
    seen = measured(first, second, temperature, labels_C, "probabilities", gradients=True)
    pairs = [(values[0], fkl), (values[1], rkl), (seen[0], fkl), (seen[1], rkl)]
    pairs += [(student, mixed), (first, of_fkl), (second, of_rkl)]
    off = [(x.cpu().double() - y).abs().max() / y.abs().max() for x, y in pairs]
    return float(torch.stack(off).max())
