"""Veto's target, the responses of speculative KD, and the control that asks no teacher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import oracles
import pytest
import torch
from tiny_steps import ROWS, V, assert_same, llama, make_step, of_responses, tools_of

from arkd.models import generate
from arkd.suite.registry import method_class


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(("step_number", "beta"), [(0, 1.2), (5, 0.9), (19, 0.06)])
def test_vetos_target_is_the_teacher_times_a_fading_power_of_the_student(
    direction: str, step_number: int, beta: float
) -> None:
    step = make_step("veto", {"beta": 1.2, "direction": direction})
    assert step.settings.steps == 20
    responses = tools_of(step, at=step_number).sample()
    loss, log = step(step_number, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both(1.0)
    target = p * q.detach().pow(beta)
    target = target / target.sum(-1, keepdim=True)
    expected = oracles.kl(target, q) if direction == "forward" else oracles.kl(q, target)
    assert log["beta"] == pytest.approx(beta)
    assert_same(loss, step, expected.mean(), dense)


def test_speculative_kd_is_forward_kl_where_both_models_wrote() -> None:
    step = make_step("skd", {"teacher_top_k": 3})
    responses = tools_of(step, at=2).sample(teacher_top_k=3)
    assert responses.answers != tools_of(step, at=2).sample().answers
    loss, _ = step(2, ROWS)
    dense = of_responses(step, responses)
    assert_same(loss, step, oracles.kl(*dense.both(1.0)).mean(), dense)


@pytest.mark.parametrize("top_k", [1, 3])
def test_a_token_outside_of_the_teachers_best_is_drawn_anew_from_the_teacher(top_k: int) -> None:
    student, teacher, n = llama(2, 8), llama(1, 12).eval(), 3000
    together = {"mixed_with": teacher, "vetted_by": top_k, "padded": True, "batch_size": n}
    drawn = generate.sample(student, [[4, 2]] * n, seed=1, max_new_tokens=1, label="", **together)
    prompt = torch.tensor([[4, 2]])
    q, p = (oracles.probabilities(m(prompt).logits[0, -1]).detach() for m in (student, teacher))
    best = p.argsort(descending=True)[:top_k].tolist()
    outside = 1 - sum(q[token].item() for token in best)
    expected = torch.stack([outside * p[t] + (q[t] if t in best else 0) for t in range(V)]) * n
    counts = torch.tensor([token for (token,) in drawn]).bincount(minlength=V)
    statistic = ((counts - expected).square() / expected).sum().item()
    assert statistic < 29.6  # the 99.9 % point of χ² with 10 degrees of freedom


@pytest.mark.parametrize("entropy_weight", [0.0, 1.0])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_the_least_probable_tokens_are_pushed_down_and_no_teacher_is_asked(
    share: float, entropy_weight: float
) -> None:
    params = {"share": share, "entropy_weight": entropy_weight}
    step = make_step("fixed_advantage", params)
    responses = tools_of(step, at=1).sample()
    dense = of_responses(step, responses)
    step.sources = replace(step.sources, teacher_head=None, load_teacher=None)
    loss, log = step(1, ROWS)
    log_q = dense.of_labels(dense.student).log()
    entropy = torch.special.entr(dense.both(1.0)[1]).sum(-1).detach()
    limit = log_q.detach().sort().values[max(0, int(share * len(log_q)) - 1)]
    least = log_q.detach() <= limit
    rank = entropy[least] - entropy[least].min()
    rank = rank / rank.max() if len(rank) > 1 else rank + 1
    cost = 0.5 * (1 + entropy_weight * rank)
    assert log["mean_advantage"] == pytest.approx(-cost.mean().item(), abs=1e-5)
    assert log["threshold_nats"] == pytest.approx(-limit.item(), abs=1e-5)
    log_q = log_q[least]
    assert_same(loss, step, (cost * (1 + log_q - log_q.detach())).mean(), dense)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("veto", {"beta": -0.1}, "beta must be 0 or more"),
        ("veto", {"beta_end": float("nan")}, "beta_end must be 0 or more"),
        ("veto", {"direction": "both"}, "direction must be forward or reverse"),
        ("skd", {"teacher_top_k": 0}, "teacher_top_k must be at least 1"),
        ("fixed_advantage", {"advantage": 0.0}, "advantage must be finite and not 0"),
        ("fixed_advantage", {"share": 0.0}, r"share must lie in \(0, 1\]"),
        ("fixed_advantage", {"entropy_weight": -1.0}, "entropy_weight must be 0 or more"),
    ],
)
def test_bad_settings_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class(name)(**params)
