"""Tail-aware distillation: an exact split of KL(p‖q), whose tail is weighed by its sequence."""

from __future__ import annotations

import oracles
import pytest
import torch
from arkd_baselines.topk_tail import parts
from tiny_steps import ROWS, V, assert_same, make_step, of_gold

from arkd.objectives import forward_kl
from arkd.suite.registry import method_class


@pytest.mark.parametrize(("top_k", "beta"), [(1, 2.0), (3, 0.5), (8, 2.0)])
def test_it_is_equation_3_of_the_paper(top_k: int, beta: float) -> None:
    step = make_step("topk_tail", {"top_k": top_k, "beta": beta})
    loss, log = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(2.0)
    top = torch.zeros_like(p).scatter_(1, p.argsort(descending=True)[:, :top_k], 1.0)
    a, b = ((x * (1 - top)).sum(-1) for x in (p, q))
    head = (top * p * (p / q).log()).sum(-1) + a * (a / b).log()
    tail = ((1 - top) * p / a[:, None] * ((p / a[:, None]) / (q / b[:, None])).log()).sum(-1)
    means = torch.cat([own.mean().expand(len(own)) for own in a.split(dense.lengths)])
    assert log["tail_mass"] == pytest.approx(a.mean().item(), abs=1e-6)
    assert_same(loss, step, (head + beta * a / means * tail).mean(), dense)


def random_logs(seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(5, V, generator=g, dtype=torch.float64)).log_softmax(-1)


def test_the_parts_weighed_by_the_tails_mass_are_the_whole_kl() -> None:
    log_q, log_p = random_logs(1), random_logs(2)
    top = log_p.topk(3).indices
    (head_q, a_q, rest_q), (head_p, a_p, rest_p) = parts(log_q, top), parts(log_p, top)
    whole = forward_kl(head_q, head_p) + forward_kl(a_q, a_p)
    whole = whole + a_p.exp().squeeze(-1) * forward_kl(rest_q, rest_p)
    assert torch.allclose(whole, oracles.kl(log_p.exp(), log_q.exp()))


def test_a_top_k_of_the_whole_vocabulary_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match=f"top_k {V} leaves no tail in a vocabulary of {V}"):
        make_step("topk_tail", {"top_k": V})(0, ROWS)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"top_k": 0}, "top_k must be at least 1"), ({"beta": 0.0}, "beta must be a positive number")],
)
def test_bad_settings_are_refused(params: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class("topk_tail")(**params)
