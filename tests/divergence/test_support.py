"""Divergences over a top-k support, against sums over the kept tokens in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from arkd.divergence.support import By, Tail, restricted
from arkd.objectives import forward_kl, reverse_kl

N, V, K = 7, 12, 4


def logits(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(N, V, generator=generator, dtype=torch.float64)


def by_hand(q: Tensor, p: Tensor, by: By, tail: Tail) -> tuple[Tensor, Tensor]:
    """Both distributions over the support, token by token."""
    rows = []
    for q_V, p_V in zip(q, p, strict=True):
        ranked = (p_V if by == "teacher_top_k" else q_V).tolist()
        kept = sorted(range(V), key=lambda token: -ranked[token])[:K]
        q_K, p_K = (torch.stack([x[token] for token in kept]) for x in (q_V, p_V))
        if tail == "bucket":
            rest = [token for token in range(V) if token not in kept]
            q_K = torch.cat([q_K, sum(q_V[t] for t in rest).reshape(1)])  # type: ignore[union-attr]
            p_K = torch.cat([p_K, sum(p_V[t] for t in rest).reshape(1)])  # type: ignore[union-attr]
        elif tail == "renormalised":
            q_K, p_K = q_K / q_K.sum(), p_K / p_K.sum()
        rows.append((q_K, p_K))
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


@pytest.mark.parametrize("tail", ["bucket", "renormalised", "dropped"])
@pytest.mark.parametrize("by", ["teacher_top_k", "student_top_k"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_value_and_gradient_are_those_of_the_sum_over_the_support(
    by: By, tail: Tail, direction: str
) -> None:
    z, log_p = logits(1).requires_grad_(), logits(2).log_softmax(-1)
    divergence = forward_kl if direction == "forward" else reverse_kl
    losses = divergence(*restricted(z.log_softmax(-1), log_p, by, K, tail))
    (found,) = torch.autograd.grad(losses.sum(), z)
    q, p = by_hand(z.softmax(-1), log_p.exp(), by, tail)
    x, y = (p, q) if direction == "forward" else (q, p)
    expected = (x * (x / y).log()).sum(-1)
    (gradient,) = torch.autograd.grad(expected.sum(), z)
    assert torch.allclose(losses, expected, atol=1e-12)
    assert torch.allclose(found, gradient, atol=1e-12)


@pytest.mark.parametrize("by", ["teacher_top_k", "student_top_k"])
def test_a_bucket_coarsens_and_is_never_above_the_whole_divergence(by: By) -> None:
    log_q, log_p = logits(3).log_softmax(-1), logits(4).log_softmax(-1)
    for divergence in (forward_kl, reverse_kl):
        coarse = divergence(*restricted(log_q, log_p, by, K, "bucket"))
        assert (coarse >= 0).all()
        assert (coarse <= divergence(log_q, log_p) + 1e-12).all()


def test_dropped_terms_can_make_a_reverse_kl_negative() -> None:
    log_q = torch.tensor([[0.2, 0.8]], dtype=torch.float64).log()
    log_p = torch.tensor([[0.9, 0.1]], dtype=torch.float64).log()
    found = reverse_kl(*restricted(log_q, log_p, "teacher_top_k", 1, "dropped"))
    assert found.item() == pytest.approx(0.2 * torch.tensor(0.2 / 0.9).log().item())
    assert found.item() < 0


@pytest.mark.parametrize("tail", ["bucket", "renormalised", "dropped"])
@pytest.mark.parametrize("size", [V, V + 5])
def test_a_support_of_all_tokens_is_the_vocabulary(tail: Tail, size: int) -> None:
    log_q, log_p = logits(5).log_softmax(-1), logits(6).log_softmax(-1)
    assert restricted(log_q, log_p, "teacher_top_k", size, tail) == (log_q, log_p)


def test_a_model_that_gives_the_rest_nothing_has_a_finite_gradient() -> None:
    log_p = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64).log()
    z = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    loss = forward_kl(*restricted(z.log_softmax(-1), log_p, "teacher_top_k", 2, "bucket"))
    loss.sum().backward()
    assert loss.item() == pytest.approx(torch.tensor(2.0).log().item())  # Σ ½·log(½ / ¼)
    assert z.grad is not None
    assert torch.allclose(z.grad, torch.tensor([[-0.25, -0.25, 0.25, 0.25]]).double())
