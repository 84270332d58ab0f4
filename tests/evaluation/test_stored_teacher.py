"""What a sparse teacher does to forward KL and its gradient, against dense sums in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from arkd.divergence.sparse import Sparse
from arkd.evaluation.stored_teacher import _compare

N, V = 6, 40


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    z = 2 * torch.randn(N, V, generator=draw)
    return z, (z + 2 * torch.randn(N, V, generator=draw)).log_softmax(-1)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0).sum(-1)


def dense(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    z, log_p = (x.double().numpy() for x in pair)
    q = np.exp(z - z.max(-1, keepdims=True))
    return q / q.sum(-1, keepdims=True), np.exp(log_p)


@pytest.mark.parametrize("k", [1, 8, 39])
def test_a_top_k_pushes_by_the_mass_it_leaves_out(
    k: int, pair: tuple[torch.Tensor, torch.Tensor]
) -> None:
    found = _compare(*pair, Sparse("top_k", k), torch.Generator())
    q, p = dense(pair)
    kept = np.zeros_like(p)
    for row, best in enumerate(np.argsort(-p, -1)[:, :k]):
        kept[row, best] = p[row, best]
    target = kept / kept.sum(-1, keepdims=True)
    assert found["value_error"].numpy() == pytest.approx(kl(target, q) - kl(p, q), abs=2e-5)
    left_out = 1 - kept.sum(-1)
    for name in ("gradient_error", "gradient_bias"):  # of one store, and there is but one
        assert found[name].numpy() == pytest.approx(left_out, abs=1e-5)
    assert found["entries"].tolist() == [k] * N


def test_a_bucket_knows_the_rest_s_mass_and_not_its_shape(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    found = _compare(*pair, Sparse("top_k_bucket", 8), torch.Generator())
    q, p = dense(pair)
    expected_value, expected_gradient = [], []
    for one_q, one_p, best in zip(q, p, np.argsort(-p, -1)[:, :8], strict=True):
        rest = np.ones(V, dtype=bool)
        rest[best] = False
        coarse_p, coarse_q = (np.append(x[best], x[rest].sum()) for x in (one_p, one_q))
        expected_value.append(kl(coarse_p, coarse_q) - kl(one_p, one_q))
        # of the rest the gradient is q_j − q_j·P/Q in the place of q_j − p_j
        wrong = one_p[rest] - one_q[rest] * coarse_p[-1] / coarse_q[-1]
        expected_gradient.append(0.5 * np.abs(wrong).sum())
    assert found["value_error"].numpy() == pytest.approx(np.array(expected_value), abs=2e-5)
    assert (found["value_error"] <= 1e-6).all()  # never above the exact one
    assert found["gradient_error"].numpy() == pytest.approx(np.array(expected_gradient), abs=1e-5)


def test_draws_are_noisy_and_right_on_average(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, p = dense(pair)
    for size in (4, 64):
        found = _compare(*pair, Sparse("sampled", size), torch.Generator().manual_seed(1))
        counts = np.random.default_rng(1).multinomial(size, p / p.sum(-1, keepdims=True), (2000, N))
        expected = 0.5 * np.abs(counts / size - p).sum(-1).mean()
        assert found["gradient_error"].mean().item() == pytest.approx(expected, rel=0.1)
        # The mean of 64 stores is a store of 64 times the draws: its error is no bias.
        many = np.random.default_rng(2).multinomial(
            64 * size, p / p.sum(-1, keepdims=True), (200, N)
        )
        expected = 0.5 * np.abs(many / (64 * size) - p).sum(-1).mean()
        assert found["gradient_bias"].mean().item() == pytest.approx(expected, rel=0.25)
        assert (found["value_error"] > 0).all()  # by the mean of KL(p̂‖p)
