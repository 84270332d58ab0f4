"""Rows that read a sparse teacher: the loss in float64, what is drawn when, and what is refused."""

from __future__ import annotations

from typing import Any

import oracles
import pytest
import torch
from tiny_steps import ROWS, V, assert_same, make_step, of_responses, tools_of
from torch import Tensor

from arkd.errors import ArkdError
from arkd.method import FullStep
from arkd.suite import registry, rows
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry
from arkd.training.narrowed import uniforms

FINITE = {
    "forward_kl": lambda p, q: oracles.kl(p, q),
    "jsd": lambda p, q: 0.5 * (oracles.kl(p, (p + q) / 2) + oracles.kl(q, (p + q) / 2)),
    "tvd": lambda p, q: (p - q).abs().sum(-1) / 2,
    "skew_rkl": lambda p, q: oracles.kl(q, 0.9 * p + 0.1 * q),
}
BUCKETS = {
    **FINITE,
    "reverse_kl": lambda p, q: oracles.kl(q, p),
    "fixed_mix": lambda p, q: 0.5 * (oracles.kl(p, q) + oracles.kl(q, p)),
}


def kept(p: Tensor, size: int) -> Tensor:
    """Probability of the size most probable tokens of each row, renormalised; 0 elsewhere."""
    least = p.sort(-1, descending=True).values[:, size - 1 : size]
    top = torch.where(p >= least, p, 0.0)
    return top / top.sum(-1, keepdim=True)


@pytest.mark.parametrize("source", ["gold", "student"])
@pytest.mark.parametrize("method", FINITE)
def test_the_loss_of_a_top_k_is_that_of_a_renormalised_target(method: str, source: str) -> None:
    settings = {"teacher_support": "top_k", "teacher_support_size": 3, "prefixes": source}
    step = make_step(method, **settings)
    dense = of_responses(step, tools_of(step, at=2).prefixes)
    loss, log = step(2, ROWS)
    p, q = dense.both(step.settings.temperature)
    assert_same(loss, step, FINITE[method](kept(p, 3), q).mean(), dense)
    assert log["entries"] == 3


@pytest.mark.parametrize("method", BUCKETS)
def test_the_loss_of_a_bucket_has_one_more_outcome(method: str) -> None:
    step = make_step(method, teacher_support="top_k_bucket", teacher_support_size=3)
    dense = of_responses(step, tools_of(step).prefixes)
    p, q = dense.both(step.settings.temperature)
    order = p.argsort(-1, descending=True)[:, :3]
    p, q = (
        torch.cat([x.gather(1, order), 1 - x.gather(1, order).sum(1, keepdim=True)], 1)
        for x in (p, q)
    )
    assert_same(step(0, ROWS)[0], step, BUCKETS[method](p, q).mean(), dense)


def test_the_entries_of_a_top_p_are_logged() -> None:
    step = make_step("forward_kl", teacher_support="top_p", teacher_support_mass=0.8)
    dense = of_responses(step, tools_of(step).prefixes)
    loss, log = step(0, ROWS)
    p, q = dense.both(step.settings.temperature)
    ranked = p.sort(-1, descending=True).values.tolist()
    sizes = [next(n for n in range(1, V + 1) if sum(row[:n]) >= 0.8) for row in ranked]
    assert log["entries"] == pytest.approx(sum(sizes) / len(sizes))
    target = torch.stack([kept(row[None], n)[0] for row, n in zip(p, sizes, strict=True)])
    assert_same(loss, step, oracles.kl(target, q).mean(), dense)


def sampled_step(seed: int = 1, draws: int = 5, **settings: Any) -> Any:
    sparse = {"teacher_support": "sampled", "teacher_support_size": draws}
    return make_step("forward_kl", seed=seed, **sparse, **settings)


def by_walking(p: Tensor, numbers: Tensor) -> Tensor:
    """Shares of the tokens on whose stretch of [0, 1) the numbers lie."""
    edges = p.cumsum(-1)
    found = [
        [int((edges[n] <= u * edges[n, -1]).sum()) for u in row]
        for n, row in enumerate(numbers.tolist())
    ]
    counts = [[row.count(token) / len(row) for token in range(V)] for row in found]
    return torch.tensor(counts, dtype=torch.float64)


@pytest.mark.parametrize("source", ["gold", "teacher"])
def test_the_loss_of_a_draw_is_that_of_its_shares(source: str) -> None:
    step = sampled_step(prefixes=source)
    responses = tools_of(step).prefixes
    dense = of_responses(step, responses)
    p, q = dense.both(step.settings.temperature)
    shares = by_walking(p, uniforms(responses, 5, source, seed=1, step=0))
    assert_same(step(0, ROWS)[0], step, oracles.kl(shares, q).mean(), dense)


def test_a_token_has_the_same_draw_whenever_it_is_visited_in_a_training() -> None:
    step = sampled_step(prefixes="gold")
    assert step(0, ROWS)[0].item() == step(7, ROWS)[0].item()
    first, late = (tools_of(step, at, rows) for at, rows in ((0, [0, 1, 2]), (9, [5, 2, 3])))
    numbers = [uniforms(t.responses(), 5, "gold", 1, t.step) for t in (first, late)]
    at = [t.responses().sequence_N for t in (first, late)]
    assert torch.equal(numbers[0][at[0] == 2], numbers[1][at[1] == 1])


def test_another_training_another_set_and_another_row_have_other_draws() -> None:
    responses = tools_of(sampled_step(), 0, [0, 1]).responses()
    first = uniforms(responses, 5, "gold", 1, 0)
    assert not torch.equal(first, uniforms(responses, 5, "gold", 2, 0))
    assert not torch.equal(first, uniforms(responses, 5, "teacher", 1, 0))
    of_rows = [first[responses.sequence_N == row][0].tolist() for row in (0, 1)]
    assert of_rows[0] != of_rows[1]
    assert len({tuple(row) for row in first.tolist()}) == len(first)


def test_what_the_student_writes_is_drawn_for_anew_at_each_step() -> None:
    responses = tools_of(sampled_step(prefixes="student")).prefixes
    assert not torch.equal(uniforms(responses, 5, "", 1, 0), uniforms(responses, 5, "", 1, 1))
    step = sampled_step(prefixes="student")
    dense = of_responses(step, tools_of(step, at=4).prefixes)
    p, q = dense.both(step.settings.temperature)
    shares = by_walking(p, uniforms(tools_of(step, at=4).prefixes, 5, "", 1, 4))
    assert_same(step(4, ROWS)[0], step, oracles.kl(shares, q).mean(), dense)


def test_the_mean_gradient_of_many_draws_is_that_of_the_exact_teacher() -> None:
    """300 trainings' first steps: within five standard errors, parameter by parameter."""
    step = sampled_step(prefixes="gold", draws=4)
    exact = make_step("forward_kl", prefixes="gold")
    exact(0, ROWS)[0].backward()
    found = []
    for seed in range(300):
        step.seed = seed
        step.model.zero_grad()
        step(0, ROWS)[0].backward()
        found.append(torch.cat([p.grad.flatten().double() for p in step.model.parameters()]))
    each = torch.stack(found)
    expected = torch.cat([p.grad.flatten().double() for p in exact.model.parameters()])
    error = each.std(0) / len(each) ** 0.5
    assert ((each.mean(0) - expected).abs() <= 5 * error + 1e-7).all()
    assert (each.std(0) > 0).any()


def test_an_exact_teacher_logs_no_entries() -> None:
    assert "entries" not in make_step("forward_kl")(0, ROWS)[1]
    assert "entries" not in make_step("jsd", support="teacher_top_k", support_size=3)(0, ROWS)[1]


def test_a_method_says_that_it_allows_zeros_exactly_if_its_loss_is_finite_there() -> None:
    """Impossible tokens cost LOG_ZERO = −1e5 nats where log p is asked for: it cannot be missed."""
    seen = set()
    for name in registry.names():
        method = rows.build(MethodEntry(name=name))
        if isinstance(method, FullStep) or not method.reads_teacher or "labels" in method.required:
            continue
        if method.replays or method.responses != ("gold",):
            continue
        step = make_step(name, teacher_support="top_k", teacher_support_size=2)
        loss = step(step.settings.steps // 2, ROWS)[0].item()  # where schedules are mixes
        assert (abs(loss) < 1000) == method.allows_zeros, (name, loss)
        seen.add(method.allows_zeros)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("name", "params", "allowed"),
    [
        ("fixed_mix", {"alpha": 1.0}, True),
        ("fixed_mix", {"alpha": 0.9}, False),
        ("skew_rkl", {"skew": 0.0}, False),
        ("alpha_beta", {"alpha": 0.0, "beta": 1.0}, False),
        ("alpha_beta", {"alpha": 0.0, "beta": 0.0}, False),
        ("alpha_beta", {"alpha": 1.0, "beta": 0.0}, True),
        *(
            ("amid", {"divergence": "kl", "order": order, "alpha": alpha}, allowed)
            for order, alpha, allowed in (
                *(("pr", 0.5, True), ("rq", 0.5, True), ("rq", 1.0, True)),
                *(("rp", 0.5, False), ("rp", 1.0, True), ("qr", 0.5, True), ("qr", 1.0, False)),
            )
        ),
    ],
)
def test_parameters_decide_on_zeros(name: str, params: dict[str, Any], allowed: bool) -> None:
    step = make_step(name, params, teacher_support="top_k", teacher_support_size=2)
    assert step.method.allows_zeros == allowed
    assert (abs(step(0, ROWS)[0].item()) < 1000) == allowed


def check(**row: Any) -> None:
    suite, entry = load_suite("smoke"), MethodEntry.model_validate(row)
    rows.check_row(entry, rows.build(entry), suite.settings(entry))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "sft", "teacher_support": "top_k"}, "reads no teacher"),
        ({"name": "gkd", "teacher_support": "top_k_bucket"}, "composes its loss itself"),
        ({"name": "drkl", "teacher_support": "top_k_bucket"}, "looks at the gold tokens"),
        ({"name": "reverse_kl", "teacher_support": "top_k"}, "asks for log p .* top_k_bucket"),
        ({"name": "fixed_mix", "teacher_support": "sampled"}, "asks for log p"),
        ({"name": "arkd", "teacher_support": "top_p"}, "asks for log p"),
        ({"name": "todi", "teacher_support": "top_k"}, "asks for log p"),
        (
            {"name": "jsd", "teacher_support": "top_k", "support": "teacher_top_k"},
            "exclude each other",
        ),
        ({"name": "jsd", "teacher_support_size": 8}, "no effect without teacher_support: top_k"),
        (
            {"name": "jsd", "teacher_support": "top_p", "teacher_support_size": 8},
            "no effect without teacher_support: top_k",
        ),
        (
            {"name": "jsd", "teacher_support": "top_k", "teacher_support_mass": 0.8},
            "no effect without teacher_support: top_p",
        ),
    ],
)
def test_a_row_that_cannot_read_a_sparse_teacher_is_refused(
    row: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArkdError, match=message):
        check(**row)


def test_rows_that_can_are_not_refused() -> None:
    check(name="forward_kl", teacher_support="sampled", teacher_support_size=8)
    check(name="jsd", teacher_support="top_p", teacher_support_mass=0.95, prefixes="student")
    check(name="reverse_kl", teacher_support="top_k_bucket", teacher_support_size=32)
    check(name="arkd", teacher_support="top_k_bucket")
    check(name="forward_kl", teacher_support="exact", prefixes="teacher")
