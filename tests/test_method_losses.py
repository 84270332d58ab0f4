"""Each method's loss against its paper's formula in float64, value and gradient."""

from __future__ import annotations

from collections.abc import Callable

import oracles
import pytest
import torch
from torch import Tensor

from arkd import registry
from arkd.divergence import Teacher, measure, token_divergence, weighted_divergences
from arkd.method import Run, TokenDivergence, WeightedDivergences
from arkd.settings import MethodEntry

N, V, H = 9, 23, 6
T = 2.0


def softmax(logits: Tensor, temperature: float) -> Tensor:
    return oracles.probabilities(logits, temperature)


def label_ce(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    return -softmax(student, 1.0).gather(1, labels[:, None]).log().squeeze(1)


def akl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """AKL by loops: head = cumulative teacher mass at most 0.5, the first token always in it."""
    p, q = softmax(teacher, T), softmax(student, T).detach()
    share = torch.zeros(len(p), dtype=torch.float64)
    for n in range(len(p)):
        mass, head = 0.0, 0.0
        order = sorted(range(V), key=lambda v: -float(p[n, v]))
        for place, v in enumerate(order):
            mass += float(p[n, v])
            if place == 0 or mass <= 0.5:
                head += float((p[n, v] - q[n, v]).abs())
        share[n] = head / float((p[n] - q[n]).abs().sum())
    return share * oracles.fkl(student, teacher, T) + (1 - share) * oracles.rkl(student, teacher, T)


def greedy(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    fkl, rkl = oracles.fkl(student, teacher, T), oracles.rkl(student, teacher, T)
    return fkl if fkl.mean() < rkl.mean() else rkl


def skew(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    p, q = softmax(teacher, T), softmax(student, T)
    return oracles.kl(p, 0.1 * p + 0.9 * q)


def skew_reverse(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    p, q = softmax(teacher, T), softmax(student, T)
    return oracles.kl(q, 0.9 * p + 0.1 * q)


Oracle = Callable[[Tensor, Tensor, Tensor], Tensor]
ORACLES: dict[tuple[str, str], Oracle] = {
    ("forward_kl", "gold"): lambda s, t, y: oracles.fkl(s, t, T),
    ("reverse_kl", "gold"): lambda s, t, y: oracles.rkl(s, t, T),
    ("fixed_mix", "gold"): lambda s, t, y: 0.5 * (oracles.fkl(s, t, T) + oracles.rkl(s, t, T)),
    ("greedy_min", "gold"): greedy,
    ("akl", "gold"): akl,
    ("sft", "gold"): label_ce,
    ("seqkd", "teacher"): label_ce,
    ("contrastive", "teacher"): skew,
    ("contrastive", "student"): skew_reverse,
}


def values(seed: int) -> tuple[Tensor, Tensor, Teacher, Tensor]:
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, H, generator=g).requires_grad_()
    head = torch.randn(V, H, generator=g).requires_grad_()
    teacher = Teacher(torch.randn(N, H, generator=g), torch.randn(V, H, generator=g))
    return hidden, head, teacher, torch.randint(0, V, (N,), generator=g)


def own_loss(name: str, source: str, hidden: Tensor, head: Tensor, teacher: Teacher, y: Tensor):
    method = registry.build(MethodEntry(name=name))
    if isinstance(method, TokenDivergence):
        seen = teacher if method.needs_teacher else None
        return token_divergence(hidden, head, seen, y, method, source, temperature=T)
    assert isinstance(method, WeightedDivergences)
    signals = measure(hidden, head, teacher, temperature=T, variance="probabilities", head_mass=0.5)
    state = method.start(Run(seed=1, steps=10, temperature=T))
    weights = method.weights(0, 10, signals, state)
    loss, _, _ = weighted_divergences(
        hidden, head, teacher, weights.fkl, weights.rkl, temperature=T
    )
    return loss


@pytest.mark.parametrize(("name", "source"), ORACLES)
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_equal_the_papers_formula(name: str, source: str, seed: int) -> None:
    hidden, head, teacher, labels = values(seed)
    loss = own_loss(name, source, hidden, head, teacher, labels)
    loss.backward()
    hidden64 = hidden.detach().double().requires_grad_()
    student = hidden64 @ head.detach().double().T
    dense = ORACLES[name, source](
        student, teacher.hidden_NG.double() @ teacher.head_VG.double().T, labels
    ).mean()
    dense.backward()
    assert loss.item() == pytest.approx(dense.item(), rel=1e-5)
    assert torch.allclose(hidden.grad.double(), hidden64.grad, atol=1e-6)


def test_arkd_weighs_by_its_policy_and_logs_what_it_saw() -> None:
    hidden, head, teacher, _ = values(2)
    method = registry.build(MethodEntry(name="arkd"))
    assert isinstance(method, WeightedDivergences)
    signals = measure(hidden, head, teacher, temperature=T, variance="probabilities")
    state = method.start(Run(seed=4, steps=10, temperature=T))
    fkl, rkl = signals.fkl_N.mean(), signals.rkl_N.mean()
    features = torch.stack(
        [
            signals.entropy_teacher_N.mean(),
            signals.entropy_student_N.mean(),
            signals.variance_teacher_N.mean(),
            signals.variance_student_N.mean(),
            fkl,
            rkl,
        ]
    )
    alpha = torch.sigmoid(state.act(features)).item()
    weights = method.weights(0, 10, signals, state)
    assert weights.fkl == pytest.approx(alpha)
    assert weights.rkl == pytest.approx(1 - alpha)
    assert weights.log["reward"] == pytest.approx(-(alpha * float(fkl) + (1 - alpha) * float(rkl)))
    assert set(weights.log) == {
        *("entropy_teacher", "entropy_student", "variance_teacher", "variance_student"),
        *("reward", "baseline", "policy_loss"),
    }


def test_akl_splits_evenly_where_the_models_agree() -> None:
    hidden, head, _, _ = values(3)
    same = Teacher(hidden.detach(), head.detach())
    signals = measure(hidden, head, same, temperature=T, variance="probabilities", head_mass=0.5)
    method = registry.build(MethodEntry(name="akl"))
    weights = method.weights(0, 1, signals, None)  # type: ignore[attr-defined]
    assert torch.equal(torch.as_tensor(weights.fkl), torch.full((N,), 0.5))


def test_every_oracle_has_its_method() -> None:
    shipped = {name for name, plugin in registry.plugins().items() if plugin.entry_point is None}
    assert {name for name, _ in ORACLES} | {"arkd"} <= shipped
