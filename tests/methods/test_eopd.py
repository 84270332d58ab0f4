"""Entropy-aware on-policy distillation: which tokens have the second part, and its gradient."""

from __future__ import annotations

from typing import Any

import oracles
import pytest
import torch
from tiny_steps import ROWS, assert_same, make_step, of_responses, tools_of

from arkd.suite.registry import method_class


def entropy(p: torch.Tensor) -> torch.Tensor:
    return -(p * p.log()).sum(-1)


@pytest.mark.parametrize("estimator", ["sampled", "vocabulary"])
@pytest.mark.parametrize("top_k", [2, 5, 30])
def test_unsure_tokens_alone_have_the_forward_kl_of_the_teachers_top_tokens(
    estimator: str, top_k: int
) -> None:
    probe = make_step("eopd")
    p, _ = of_responses(probe, tools_of(probe, at=3).sample()).both(1.0)
    middle = entropy(p).median().item() - 1e-4  # so that some tokens are on each side
    params = {"estimator": estimator, "top_k": top_k, "threshold_nats": middle}
    step = make_step("eopd", {**params, "forward_weight": 0.7})
    responses = tools_of(step, at=3).sample()
    loss, log = step(3, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both(1.0)
    unsure = entropy(p) >= middle
    assert 0 < unsure.sum() < len(unsure)
    assert log["unsure"] == pytest.approx(unsure.double().mean().item())
    top = torch.zeros_like(p).scatter_(1, p.argsort(descending=True)[:, :top_k], 1.0)
    forward = (top * p * (p / q).log()).sum(-1)
    if estimator == "vocabulary":
        reverse = oracles.kl(q, p)
    else:
        log_q = dense.of_labels(dense.student).log()
        cost = (log_q - dense.of_labels(dense.teacher).log()).detach()
        reverse = cost * (log_q - log_q.detach()).exp()
    assert_same(loss, step, (reverse + 0.7 * unsure * forward).mean(), dense)


def test_above_every_entropy_it_is_on_policy_reverse_kl_by_the_sampled_token() -> None:
    own, other = make_step("eopd", {"threshold_nats": 100.0}), make_step("opd", SAMPLED)
    losses = [step(1, ROWS)[0] for step in (own, other)]
    assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-6)
    for loss in losses:
        loss.backward()
    for mine, theirs in zip(own.model.parameters(), other.model.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)


SAMPLED = {"estimator": "sampled"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threshold_nats": -0.1}, "threshold_nats must be 0 or more"),
        ({"forward_weight": float("nan")}, "forward_weight must be 0 or more"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"estimator": "samples"}, "estimator must be sampled or vocabulary"),
    ],
)
def test_bad_settings_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class("eopd")(**params)
