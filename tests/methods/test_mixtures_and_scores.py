"""AMiD's mixtures and CSD's differences of logits: known cases, gradients, extremes."""

from __future__ import annotations

from typing import Any

import oracles
import pytest
import torch
from tiny_steps import ROWS, V, assert_same, make_step, of_gold
from torch import Tensor

from arkd.method import Context
from arkd.suite.registry import method_class


def losses_of(name: str, params: dict[str, Any], log_q: Tensor, log_p: Tensor) -> Tensor:
    labels = torch.zeros(len(log_q), dtype=torch.long)
    return method_class(name)(**params).token_loss(log_q, log_p, labels, Context(0, 1))


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_at_alpha_minus_1_the_kl_from_the_teacher_is_the_skew_kl(share: float) -> None:
    params = {"alpha": -1.0, "teacher_share": share, "divergence": "kl", "order": "pr"}
    step = make_step("amid", params)
    loss, _ = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(2.0)
    assert_same(loss, step, oracles.kl(p, share * p + (1 - share) * q).mean(), dense)


@pytest.mark.parametrize("order", ["pr", "rp", "qr", "rq"])
@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0, -3.0])
def test_the_mixture_is_the_generalised_mean_normalised(alpha: float, order: str) -> None:
    step = make_step("amid", {"alpha": alpha, "teacher_share": 0.3, "order": order})
    loss, _ = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(2.0)
    k = (1 - alpha) / 2
    mean = p**0.3 * q**0.7 if alpha == 1 else (0.3 * p**k + 0.7 * q**k) ** (1 / k)
    models = {"p": p, "q": q, "r": mean / mean.sum(-1, keepdim=True)}
    x, y = (models[one] for one in order)
    terms = x**0.2 * y**0.7 - 0.2 / 0.9 * x**0.9 - 0.7 / 0.9 * y**0.9
    assert_same(loss, step, (-terms.sum(-1) / 0.14).mean(), dense)


def test_with_the_students_weights_csd_is_half_the_variance_of_the_logits_error() -> None:
    """And its gradient is that of the authors' code: q·(d − E_q d) on the logits."""
    step = make_step("csd", temperature=1.0)
    loss, _ = step(0, ROWS)
    dense = of_gold(step, ROWS)
    q = dense.both(1.0)[1].detach()
    gap = (dense.student - dense.teacher).detach()
    centred = gap - (q * gap).sum(-1, keepdim=True)
    value = 0.5 * (q * centred**2).sum(-1).mean()
    pulled = (q * centred * dense.student).sum(-1).mean()
    assert_same(loss, step, value + pulled - pulled.detach(), dense)


@pytest.mark.parametrize("first", ["student", "teacher", "uniform"])
@pytest.mark.parametrize("second", ["student", "teacher", "uniform"])
def test_csd_is_the_sum_over_all_pairs(first: str, second: str) -> None:
    step = make_step("csd", {"first": first, "second": second})
    loss, _ = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(2.0)
    by = {"student": q.detach(), "teacher": p, "uniform": torch.full_like(p, 1 / V)}
    gap = (dense.student - dense.teacher) / 2.0
    expected = sum(
        by[first][:, x] * by[second][:, y] * (gap[:, x] - gap[:, y]) ** 2 / 4
        for x in range(V)
        for y in range(V)
    )
    assert_same(loss, step, expected.mean(), dense)


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("csd", {}),
    ("csd", {"first": "uniform", "second": "teacher"}),
    *(
        ("amid", {"alpha": alpha, "order": order})
        for alpha in (1.0, -3.0)
        for order in ("pr", "rq")
    ),
]


@pytest.mark.parametrize(("name", "params"), SETTINGS)
def test_where_the_models_agree_loss_and_gradient_are_0(name: str, params: dict[str, Any]) -> None:
    logits = torch.randn(5, V, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = logits.clone().requires_grad_()
    losses = losses_of(name, params, (z + 3.0).log_softmax(-1), logits.log_softmax(-1))
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert losses.abs().max() < 1e-12
    assert gradient.abs().max() < 1e-9


@pytest.mark.parametrize(("name", "params"), SETTINGS)
@pytest.mark.parametrize("kind", ["opposed", "masked", "one possible"])
def test_extreme_logits_stay_finite(name: str, params: dict[str, Any], kind: str) -> None:
    student = 80 * torch.randn(5, V, generator=torch.Generator().manual_seed(1)).sign()
    teacher = -student
    if kind == "masked":
        student[:, -2:], teacher[:, -2:] = -torch.inf, -torch.inf
    elif kind == "one possible":
        student[:, 1:], teacher[:, :-1] = -torch.inf, -torch.inf
    z = student.requires_grad_()
    losses = losses_of(name, params, z.log_softmax(-1), teacher.log_softmax(-1))
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("amid", {"alpha": 1.5}, "alpha must be a number of at most 1"),
        ("amid", {"alpha": float("nan")}, "alpha must be a number of at most 1"),
        ("amid", {"teacher_share": 1.0}, "teacher_share must lie in"),
        ("amid", {"order": "pq"}, "order must be one of pr, rp, qr, rq"),
        ("amid", {"divergence": "fkl"}, "divergence must be one of alpha_beta, kl"),
        ("csd", {"first": "teachers"}, "first must be student, teacher or uniform"),
    ],
)
def test_bad_settings_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class(name)(**params)
