"""Sparse teachers, against sums over the stored entries in float64, brute force and enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from arkd.divergence.sparse import Kind, Sparse, inverse_cdf, sampled, sparse_target, top_p
from arkd.divergence.support import restricted
from arkd.objectives import LOG_ZERO, forward_kl, jsd, reverse_kl, skew_kl, skew_rkl, tvd

N, V, K = 7, 12, 4
T = 1.7


def logits(seed: int, tokens: int = N, vocabulary: int = V) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(tokens, vocabulary, generator=generator, dtype=torch.float64)


def numbers(seed: int, tokens: int = N, draws: int = K) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(tokens, draws, generator=generator, dtype=torch.float64)


def drawn(p_V: list[float], uniform: float) -> int:
    """The token whose stretch of [0, 1) holds a number, by walking along it."""
    total = sum(p_V)
    for token in range(len(p_V)):
        if uniform * total < sum(p_V[: token + 1]):
            return token
    raise AssertionError(uniform)


def target(p: Tensor, kind: Kind, uniforms: Tensor) -> Tensor:
    """The stored distribution with its zeros, row by row; a bucket is the last outcome."""
    rows = []
    for p_V, u_N in zip(p.tolist(), uniforms.tolist(), strict=True):
        order = sorted(range(V), key=lambda token: -p_V[token])
        kept = order[:K]
        if kind == "top_p":
            kept = next(order[:n] for n in range(1, V + 1) if sum(p_V[t] for t in order[:n]) >= 0.9)
        if kind == "sampled":
            tokens = [drawn(p_V, u) for u in u_N]
            rows.append([tokens.count(token) / len(tokens) for token in range(V)])
        elif kind == "top_k_bucket":
            rows.append([p_V[token] for token in kept] + [1 - sum(p_V[t] for t in kept)])
        else:
            total = sum(p_V[token] for token in kept)
            rows.append([p_V[t] / total if t in kept else 0.0 for t in range(V)])
    return torch.tensor(rows, dtype=torch.float64)


def of_student(q: Tensor, p: Tensor, kind: Kind) -> Tensor:
    """Its whole softmax, or its k probabilities and the sum of the others."""
    if kind != "top_k_bucket":
        return q
    kept = torch.stack(
        [q_V[p_V.argsort(descending=True)[:K]] for q_V, p_V in zip(q, p, strict=True)]
    )
    return torch.cat([kept, 1 - kept.sum(1, keepdim=True)], 1)


def plain_kl(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(x > 0, x * (x.clamp_min(1e-300) / y.clamp_min(1e-300)).log(), 0.0).sum(-1)


DIVERGENCES = {
    "forward_kl": (forward_kl, plain_kl),
    "jsd": (
        lambda q, p: jsd(q, p, 0.3),
        lambda p, q: 0.3 * plain_kl(p, 0.3 * p + 0.7 * q) + 0.7 * plain_kl(q, 0.3 * p + 0.7 * q),
    ),
    "skew_kl": (
        lambda q, p: skew_kl(q, p, 0.1),
        lambda p, q: plain_kl(p, 0.1 * p + 0.9 * q),
    ),
    "skew_rkl": (
        lambda q, p: skew_rkl(q, p, 0.1),
        lambda p, q: plain_kl(q, 0.9 * p + 0.1 * q),
    ),
    "tvd": (tvd, lambda p, q: 0.5 * (p - q).abs().sum(-1)),
}


@pytest.mark.parametrize("kind", ["top_k", "top_k_bucket", "top_p", "sampled"])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_value_and_gradient_are_those_of_the_stored_target(name: str, kind: Kind) -> None:
    z, v, uniforms = logits(1).requires_grad_(), logits(2), numbers(3)
    divergence, by_hand = DIVERGENCES[name]
    p, q = (v / T).softmax(-1), (z / T).softmax(-1)
    log_q, log_p, _ = sparse_target(
        (z / T).log_softmax(-1), (v / T).log_softmax(-1), Sparse(kind, K, 0.9), uniforms
    )
    losses = divergence(log_q, log_p)
    (found,) = torch.autograd.grad(losses.sum(), z)
    expected = by_hand(target(p, kind, uniforms), of_student(q, p, kind))
    (gradient,) = torch.autograd.grad(expected.sum(), z)
    assert torch.allclose(losses, expected, atol=1e-12)
    assert torch.allclose(found, gradient, atol=1e-12)


@pytest.mark.parametrize("direction", [forward_kl, reverse_kl])
def test_a_bucket_is_the_k_terms_and_the_term_of_what_is_left(direction: object) -> None:
    """Two lines: Σ over the k entries of x·log(x/y), and the same of the two remainders."""
    p, q = logits(4).softmax(-1), logits(5).softmax(-1)
    order = p.argsort(-1, descending=True)[:, :K]
    x, y = p.gather(1, order), q.gather(1, order)
    if direction is reverse_kl:
        x, y = y, x
    rest_x, rest_y = 1 - x.sum(1), 1 - y.sum(1)
    expected = (x * (x / y).log()).sum(1) + rest_x * (rest_x / rest_y).log()
    log_q, log_p, _ = sparse_target(q.log(), p.log(), Sparse("top_k_bucket", K))
    assert torch.allclose(direction(log_q, log_p), expected, atol=1e-12)  # type: ignore[operator]


def test_a_bucket_is_the_teachers_support_with_that_tail() -> None:
    log_q, log_p = logits(4).log_softmax(-1), logits(5).log_softmax(-1)
    found = sparse_target(log_q, log_p, Sparse("top_k_bucket", K))[:2]
    for mine, other in zip(
        found, restricted(log_q, log_p, "teacher_top_k", K, "bucket"), strict=True
    ):
        assert torch.equal(mine, other)


def test_a_renormalised_top_k_keeps_the_students_softmax_and_a_support_does_not() -> None:
    """The two differ by −log of the student's mass on the k tokens, token by token."""
    log_q, log_p = logits(4).log_softmax(-1), logits(5).log_softmax(-1)
    stored = forward_kl(*sparse_target(log_q, log_p, Sparse("top_k", K))[:2])
    narrow = forward_kl(*restricted(log_q, log_p, "teacher_top_k", K, "renormalised"))
    mass = log_q.exp().gather(1, log_p.argsort(-1, descending=True)[:, :K]).sum(1)
    assert torch.allclose(stored, narrow - mass.log(), atol=1e-12)


@pytest.mark.parametrize("kind", ["top_k", "top_k_bucket"])
@pytest.mark.parametrize("size", [V, V + 5])
def test_a_top_k_of_all_tokens_is_the_exact_teacher(kind: Kind, size: int) -> None:
    log_q, log_p = logits(6).log_softmax(-1), logits(7).log_softmax(-1)
    found = sparse_target(log_q, log_p, Sparse(kind, size))
    assert torch.equal(found[0], log_q)
    assert torch.equal(found[1], log_p)
    assert found[2].tolist() == [V] * N


@pytest.mark.parametrize("mass", [0.05, 0.5, 0.9, 0.99, 0.99999])
def test_a_top_p_is_the_smallest_of_all_sets_with_that_mass(mass: float) -> None:
    """Over all 2^V sets of tokens, none smaller reaches the mass, and no equal one has more."""
    p = logits(8, vocabulary=9).softmax(-1)
    log_t, entries = top_p(p.log(), mass)
    for p_V, t_V, size in zip(p, log_t.exp(), entries.tolist(), strict=True):
        sums = [
            (n, sum(float(p_V[t]) for t in tokens), tokens)
            for n in range(1, 10)
            for tokens in itertools.combinations(range(9), n)
        ]
        least = min(n for n, total, _ in sums if total >= mass)
        _, total, tokens = max(s for s in sums if s[0] == least)
        assert size == least
        assert t_V.nonzero().flatten().tolist() == list(tokens)
        assert torch.allclose(t_V[list(tokens)], p_V[list(tokens)] / total, atol=1e-14)


def test_equal_probabilities_are_cut_at_the_smallest_number_of_them() -> None:
    log_t, entries = top_p(torch.full((1, 8), 1 / 8, dtype=torch.float64).log(), 0.5)
    assert entries.item() == 4
    assert (log_t.exp() > 0).sum().item() == 4
    assert log_t.exp().max().item() == pytest.approx(0.25)


def test_the_mean_over_every_outcome_is_the_teacher_and_its_gradient_the_exact_one() -> None:
    """All V^N sequences of draws at V = 4, N = 3, weighted by their probability."""
    vocabulary, draws = 4, 3
    v, z = logits(9, 1, vocabulary) / 2, logits(10, 1, vocabulary).requires_grad_()
    p, log_q = v.softmax(-1), z.log_softmax(-1)
    edges = [0.0, *p[0].cumsum(0).tolist()]
    centres = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
    mean, gradient = torch.zeros_like(p), torch.zeros_like(p)
    value, around = 0.0, 0.0
    for tokens in itertools.product(range(vocabulary), repeat=draws):
        weight = math.prod(float(p[0, token]) for token in tokens)
        uniforms = torch.tensor([[centres[token] for token in tokens]], dtype=torch.float64)
        log_t, _ = sampled(p.log(), uniforms)
        loss = forward_kl(log_q, log_t).sum()
        gradient += weight * torch.autograd.grad(loss, z, retain_graph=True)[0]
        mean = mean + weight * log_t.exp()
        value += weight * loss.item()
        around += weight * plain_kl(log_t.exp(), p).item()
    (exact,) = torch.autograd.grad(forward_kl(log_q, v.log_softmax(-1)).sum(), z)
    assert torch.allclose(mean, p, atol=1e-12)
    assert torch.allclose(gradient, exact, atol=1e-12)
    whole = plain_kl(p, log_q.detach().exp()).item()
    assert value == pytest.approx(whole + around, abs=1e-12)  # the value is not: it is above
    assert around > 0.01


def test_draws_follow_the_distribution() -> None:
    """χ² of 40,000 draws over twelve tokens, and of pairs of neighbouring draws."""
    p = logits(11, 1).div(2).softmax(-1)
    draws = 40_000
    tokens = inverse_cdf(p, numbers(12, 1, draws))[0]

    def chi2(found: Tensor, expected: Tensor) -> float:
        return float(((found - expected).square() / expected).sum())

    once = tokens.bincount(minlength=V).double()
    assert chi2(once, draws * p[0]) < V - 1 + 5 * (2 * (V - 1)) ** 0.5
    pairs = (tokens[::2] * V + tokens[1::2]).bincount(minlength=V * V).double()
    of_pairs = draws / 2 * torch.outer(p[0], p[0]).flatten()
    assert chi2(pairs, of_pairs) < V * V - 1 + 5 * (2 * (V * V - 1)) ** 0.5


def test_entries_of_a_draw_are_its_distinct_tokens() -> None:
    p = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    uniforms = torch.tensor([[0.0, 0.49, 0.9, 0.3, 0.95]], dtype=torch.float64)
    log_t, entries = sampled(p.log(), uniforms)
    assert entries.item() == 2
    assert torch.allclose(log_t.exp(), torch.tensor([[0.6, 0.0, 0.0, 0.4]]).double())


def test_a_token_without_mass_is_never_drawn_and_never_stored() -> None:
    log_p = torch.tensor([[0.0, 0.7, 0.0, 0.3, 0.0]]).log()
    ends = torch.tensor([[0.0, 0.5, 1 - 2**-53]], dtype=torch.float64)
    assert inverse_cdf(log_p.exp(), ends)[0].tolist() == [1, 1, 3]
    log_q = torch.zeros(1, 5).log_softmax(-1)
    for sparse in (Sparse("top_k", 4), Sparse("top_p", mass=0.999999), Sparse("sampled", 3)):
        _, log_t, _ = sparse_target(log_q, log_p, sparse, ends)
        assert (log_t[0, [0, 2, 4]] == LOG_ZERO).all()
        assert log_t.exp().sum().item() == pytest.approx(1, abs=1e-6)
