"""Which divergence a gradient is: a weight for each position, and what no weight explains.

Shapes: N scored positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from arkd.loss_audit.catalogue import CATALOGUE, SHARES, Exact, exact, titled

EXACT = 1e-3  # relative error up to which a gradient counts as that of a formula
FEW = 10  # positions that a parameter is searched on


@dataclass(frozen=True)
class Rows:
    """Scored positions: logits of both models, labels, and the gradient that was measured."""

    student_NV: Tensor
    teacher_NV: Tensor
    labels_N: Tensor
    grad_NV: Tensor

    def few(self) -> Rows:
        """Return the first of them."""
        kept = (self.student_NV, self.teacher_NV, self.labels_N, self.grad_NV)
        return Rows(*(x[:FEW] for x in kept))

    def exact(self, name: str, parameters: tuple[float, ...] = (), **options: object) -> Exact:
        """Return a divergence of these rows."""
        given = self.student_NV, self.teacher_NV, self.labels_N
        return exact(CATALOGUE[name], *given, parameters, **options)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fit:
    """A divergence beside a gradient.

    Attributes:
        name: Of the divergence.
        parameters: Those that fit best.
        cosine: Mean over positions of the cosine between both gradients.
        error: ‖g − w·g*‖/‖g‖ over all positions, each with its best weight w ≥ 0.
        weight_N: Those weights.
        value_N: The divergence itself.
    """

    name: str
    parameters: tuple[float, ...]
    cosine: float
    error: float
    weight_N: Tensor
    value_N: Tensor

    @property
    def title(self) -> str:
        """As tables show it."""
        return titled(self.name, self.parameters)

    @property
    def is_exact(self) -> bool:
        """Whether nothing is left but rounding."""
        return self.error <= EXACT


@dataclass(frozen=True)
class Blend:
    """A divergence and cross-entropy of the labels, whose weighted sum is a gradient."""

    name: str
    parameters: tuple[float, ...]
    share: float  # of cross-entropy, 0–1
    error: float

    @property
    def title(self) -> str:
        """As tables show it."""
        kept = titled(self.name, self.parameters)
        return f"{1 - self.share:.3g} · {kept} + {self.share:.3g} · cross-entropy"


def against(rows: Rows, name: str, parameters: tuple[float, ...] = (), **options: object) -> Fit:
    """Compare a gradient with that of one divergence."""
    return compared(rows.grad_NV, rows.exact(name, parameters, **options), name, parameters)


def compared(grad_NV: Tensor, to: Exact, name: str, parameters: tuple[float, ...] = ()) -> Fit:
    """Compare a gradient with an exact one.

    Args:
        grad_NV: As measured.
        to: As it should be.
        name: Of the divergence.
        parameters: Of it.
    """
    tiny = torch.finfo(torch.float64).tiny
    dot_N = (grad_NV * to.grad_NV).sum(-1)
    norm_N, exact_N = grad_NV.norm(dim=-1), to.grad_NV.norm(dim=-1)
    weight_N = (dot_N / exact_N.square().clamp_min(tiny)).clamp_min(0)
    rest_NV = grad_NV - weight_N[:, None] * to.grad_NV
    error = float(rest_NV.norm() / grad_NV.norm().clamp_min(tiny))
    seen_N = norm_N > 0
    cosine_N = dot_N[seen_N] / (norm_N * exact_N)[seen_N].clamp_min(tiny)
    cosine = float(cosine_N.mean()) if len(cosine_N) else 0.0
    return Fit(name, parameters, cosine, error, weight_N, to.value_N)


def nearest(rows: Rows, names: Iterable[str] = CATALOGUE, **options: object) -> Fit:
    """Return the divergence whose gradient is nearest, its parameter searched."""
    few, best = rows.few(), None
    for name in names:
        tried = [against(few, name, given, **options) for given in CATALOGUE[name].grid]
        parameters = min(tried, key=lambda fit: fit.error).parameters
        if len(parameters) == 1:
            at = partial(against, few, name, **options)  # type: ignore[arg-type]
            parameters = (_refined(at, parameters[0]),)
        found = against(rows, name, parameters, **options)
        if best is None or found.error < best.error:
            best = found
        if best.is_exact and best.error < EXACT / 10:
            break
    assert best is not None
    return best


def blend(rows: Rows, names: Iterable[str] = ("forward_kl", "reverse_kl", "jsd")) -> Blend:
    """Return the divergence that explains a gradient best beside cross-entropy of the labels."""
    few, best = rows.few(), None
    for name in names:
        grid = CATALOGUE[name].grid
        tried = [_blended(few, name, parameters) for parameters in grid]
        parameters = min(tried, key=lambda found: found.error).parameters
        if len(parameters) == 1:
            parameters = (_refined(partial(_blended, few, name), parameters[0]),)
        fitted = _blended(rows, name, parameters)
        if best is None or fitted.error < best.error:
            best = fitted
    assert best is not None
    return best


def _blended(rows: Rows, name: str, parameters: tuple[float, ...]) -> Blend:
    first_NV, second_NV = rows.exact(name, parameters).grad_NV, rows.exact("cross_entropy").grad_NV
    aa, bb = first_NV.square().sum(-1), second_NV.square().sum(-1)
    ab = (first_NV * second_NV).sum(-1)
    ga, gb = ((rows.grad_NV * x_NV).sum(-1) for x_NV in (first_NV, second_NV))
    tiny = torch.finfo(torch.float64).tiny
    area = (aa * bb - ab * ab).clamp_min(tiny)
    a_N, b_N = (ga * bb - gb * ab) / area, (gb * aa - ga * ab) / area
    rest_NV = rows.grad_NV - a_N[:, None] * first_NV - b_N[:, None] * second_NV
    total = float(a_N.sum() + b_N.sum())
    share = float(b_N.sum()) / total if total else 0.0
    return Blend(name, parameters, share, float(rest_NV.norm() / rows.grad_NV.norm()))


def _refined(fitted: Callable[[tuple[float]], Fit | Blend], start: float) -> float:
    """Return the parameter of least error between the neighbours of one on the grid."""
    found = minimize_scalar(
        lambda share: fitted((share,)).error,
        bounds=_around(start),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return _rounded(float(found.x))


def _around(share: float) -> tuple[float, float]:
    place = SHARES.index(share)
    low = SHARES[place - 1] if place else 1e-4
    high = SHARES[place + 1] if place + 1 < len(SHARES) else 1 - 1e-4
    return low, high


def _rounded(share: float) -> float:
    """Return a share as one types it, where that is what was found."""
    return round(share, 2) if abs(share - round(share, 2)) < 5e-4 else share
