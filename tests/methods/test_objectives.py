"""The token objectives: value and gradient against the papers' formulas, limits, extremes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import oracles
import pytest
import torch
from torch import Tensor

from arkd import objectives
from arkd.method import Context, Memory, Run, TokenDivergence, WeightedDivergences
from arkd.suite.registry import method_class
from arkd.training.checkpoint import flatten, restore

N, V = 5, 7

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]  # (log q, log p, labels) → losses
Oracle = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (student, teacher, frozen, labels)


def logits(seed: int, scale: float = 1.5) -> tuple[Tensor, Tensor, Tensor]:
    """Student's and teacher's logits in float64, and labels."""
    g = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, N, V, generator=g, dtype=torch.float64)
    return student, teacher, torch.randint(0, V, (N,), generator=g)


def taid_loss(log_q: Tensor, log_p: Tensor, t: float) -> Tensor:
    return objectives.forward_kl(log_q, objectives.interpolated(log_q, log_p, t))


def run(objective: Objective, student: Tensor, teacher: Tensor, labels: Tensor):
    """Return the losses and the gradient of their sum on the student's logits."""
    z = student.clone().requires_grad_()
    losses = objective(z.log_softmax(-1), teacher.log_softmax(-1), labels)
    (gradient,) = torch.autograd.grad(losses.sum(), z)
    return losses.detach(), gradient


def slopes(value: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-6) -> Tensor:
    """Central differences of a sum of row values in each entry."""
    found = torch.zeros_like(at)
    for index in range(at.numel()):
        nudge = torch.zeros_like(at)
        nudge.view(-1)[index] = step
        found.view(-1)[index] = (value(at + nudge) - value(at - nudge)).sum() / (2 * step)
    return found


def pair(own: Callable[..., Tensor], dense: Callable[..., Tensor]) -> tuple[Objective, Oracle]:
    """An objective of both models alone."""
    return lambda q, p, y: own(q, p), lambda s, t, frozen, y: dense(s, t)


CASES: dict[str, tuple[Objective, Oracle]] = {
    "forward_kl": pair(objectives.forward_kl, oracles.fkl),
    "reverse_kl": pair(objectives.reverse_kl, oracles.rkl),
    "tvd": pair(objectives.tvd, oracles.total_variation),
    **{
        f"jsd {b}": pair(partial(objectives.jsd, beta=b), partial(oracles.jsd, beta=b))
        for b in (0.1, 0.5, 0.9)
    },
    **{
        f"skew_kl {a}": pair(partial(objectives.skew_kl, skew=a), partial(oracles.skew, share=a))
        for a in (0.0, 0.1, 0.7)
    },
    **{
        f"skew_rkl {a}": pair(
            partial(objectives.skew_rkl, skew=a), lambda s, t, a=a: oracles.skew(t, s, a)
        )
        for a in (0.0, 0.1, 0.7)
    },
    **{
        f"alpha_beta {a} {b}": pair(
            partial(objectives.alpha_beta, alpha=a, beta=b),
            partial(oracles.alpha_beta, alpha=a, beta=b),
        )
        for a, b in ((0.2, 0.7), (0.5, 0.5), (1.0, 1.0), (0.01, 0.9))
    },
    "todi": (
        lambda q, p, y: objectives.todi(q, p),
        lambda s, t, frozen, y: oracles.todi(s, t, frozen),
    ),
    **{
        f"drkl {c}": (
            lambda q, p, y, c=c: objectives.drkl(q, p, y, c),
            lambda s, t, frozen, y, c=c: oracles.drkl(s, t, y, c),
        )
        for c in (0.5, 1.0)
    },
    **{
        f"taid {t}": (
            lambda q, p, y, t=t: taid_loss(q, p, t),
            lambda s, z, frozen, y, t=t: oracles.taid(s, z, frozen, t),
        )
        for t in (0.4, 1.0)
    },
    **{
        f"akl {version} {mu}": (
            lambda q, p, y, v=version, mu=mu: objectives.adaptive_kl(q, p, mu, v),
            lambda s, t, frozen, y, v=version, mu=mu: oracles.akl(s, t, frozen, mu, v),
        )
        for version in ("authors", "dskd", "taid")
        for mu in (0.5, 0.8)
    },
}
NO_DIVERGENCE = ("akl taid",)  # its value keeps a cross-entropy
DIVERGENCES = [name for name in CASES if not name.startswith(NO_DIVERGENCE)]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_value_and_gradient_are_those_of_the_papers_formula(name: str, seed: int) -> None:
    objective, dense = CASES[name]
    student, teacher, labels = logits(seed)
    losses, gradient = run(objective, student, teacher, labels)
    assert torch.allclose(losses, dense(student, teacher, student, labels), atol=1e-10)
    numeric = slopes(lambda s: dense(s, teacher, student, labels), student)
    assert torch.allclose(gradient, numeric, atol=1e-7)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_divergence_is_zero_at_the_teacher_and_nowhere_negative(name: str) -> None:
    objective, _ = CASES[name]
    for seed in range(20):
        student, teacher, labels = logits(seed, scale=4.0)
        assert (run(objective, student, teacher, labels)[0] > 0).all()
        assert run(objective, teacher + 3.0, teacher, labels)[0].abs().max() < 1e-12
        assert run(objective, teacher, teacher, labels)[1].abs().max() < 1e-9


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["opposed", "same", "masked", "masked in one", "one possible"])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype, kind: str) -> None:
    student, teacher, labels = logits(3)
    if kind != "one possible":
        student = 80 * student.sign()
        teacher = student.clone() if kind == "same" else -student
    if kind.startswith("masked"):
        student[:, -2:] = -torch.inf
        labels = labels % (V - 2)
    if kind == "masked":
        teacher[:, -2:] = -torch.inf
    if kind == "one possible":
        student[:, 1:], teacher[:, :-1] = -torch.inf, -torch.inf
    losses, gradient = run(CASES[name][0], student.to(dtype), teacher.to(dtype), labels)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_token_that_is_impossible_for_both_changes_nothing(name: str) -> None:
    student, teacher, labels = logits(4)
    wider = [torch.cat([z, torch.full((N, 2), -torch.inf)], -1) for z in (student, teacher)]
    losses, gradient = run(CASES[name][0], student, teacher, labels)
    own_losses, own_gradient = run(CASES[name][0], *wider, labels)
    assert torch.allclose(own_losses, losses)
    assert torch.allclose(own_gradient, torch.nn.functional.pad(gradient, (0, 2)))


@pytest.mark.parametrize(("beta", "limit"), [(1e-7, "forward_kl"), (1 - 1e-7, "reverse_kl")])
def test_scaled_jsd_tends_to_the_kls(beta: float, limit: str) -> None:
    values = logits(5)
    losses, gradient = run(lambda q, p, y: objectives.jsd(q, p, beta), *values)
    own_losses, own_gradient = run(CASES[limit][0], *values)
    scale = beta * (1 - beta)
    assert torch.allclose(losses / scale, own_losses, rtol=1e-5, atol=1e-6)
    assert torch.allclose(gradient / scale, own_gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("corner", "limit"), [((1.0, 0.0), "forward_kl"), ((0.0, 1.0), "reverse_kl")]
)
def test_alpha_beta_has_the_kls_at_its_corners(corner: tuple[float, float], limit: str) -> None:
    values = logits(6)
    found = run(lambda q, p, y: objectives.alpha_beta(q, p, *corner), *values)
    for own, expected in zip(found, run(CASES[limit][0], *values), strict=True):
        assert torch.allclose(own, expected)


@pytest.mark.parametrize(
    ("at", "near"),
    [
        ((0.0, 0.5), (1e-6, 0.5)),
        ((0.7, 0.0), (0.7, 1e-6)),
        ((0.0, 2.0), (1e-6, 2.0)),
        ((0.0, 0.0), (1e-4, 1e-4)),
    ],
)
def test_alpha_beta_is_continuous_where_a_parameter_is_zero(
    at: tuple[float, float], near: tuple[float, float]
) -> None:
    student, teacher, labels = logits(7)
    losses, gradient = run(
        lambda q, p, y: objectives.alpha_beta(q, p, *at), student, teacher, labels
    )
    dense = partial(oracles.alpha_beta, alpha=near[0], beta=near[1])
    assert torch.allclose(losses, dense(student, teacher), rtol=1e-3)
    numeric = slopes(lambda s: dense(s, teacher), student, step=1e-3)
    assert torch.allclose(gradient, numeric, rtol=1e-3, atol=1e-3)


def test_skew_zero_is_plain_kl() -> None:
    student, teacher, _ = logits(8)
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    assert torch.equal(objectives.skew_kl(log_q, log_p, 0.0), objectives.forward_kl(log_q, log_p))
    assert torch.equal(objectives.skew_rkl(log_q, log_p, 0.0), objectives.reverse_kl(log_q, log_p))


def test_total_variation_is_one_for_disjoint_models() -> None:
    student, teacher = torch.tensor([[90.0, 0.0, -90.0]]), torch.tensor([[-90.0, 0.0, 90.0]])
    losses, _ = run(CASES["tvd"][0], student, teacher, torch.tensor([0]))
    assert losses.item() == pytest.approx(1.0)


def test_todi_has_the_value_of_both_kls_together_but_a_gradient_of_its_own() -> None:
    values = logits(9)
    losses, gradient = run(CASES["todi"][0], *values)
    fkl, rkl = run(CASES["forward_kl"][0], *values), run(CASES["reverse_kl"][0], *values)
    assert torch.allclose(losses, fkl[0] + rkl[0])
    assert (gradient - fkl[1] - rkl[1]).abs().max() > 0.1


def test_drkl_with_the_students_rest_as_weight_is_reverse_kl() -> None:
    values = logits(10)

    def with_rest(log_q: Tensor, log_p: Tensor, labels: Tensor) -> Tensor:
        q_m = log_q.gather(-1, labels[:, None]).squeeze(-1).exp()
        return objectives.drkl(log_q, log_p, labels, 1 - q_m)

    for own, expected in zip(
        run(with_rest, *values), run(CASES["reverse_kl"][0], *values), strict=True
    ):
        assert torch.allclose(own, expected)


def test_drkl_still_teaches_the_rest_when_the_student_is_sure_of_the_label() -> None:
    student = torch.tensor([[40.0, 2.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[40.0, 0.0, 2.0]], dtype=torch.float64)
    labels = torch.tensor([0])
    _, own = run(CASES["drkl 1.0"][0], student, teacher, labels)
    _, plain = run(CASES["reverse_kl"][0], student, teacher, labels)
    assert own[0, 1] > 0.1
    assert plain.abs().max() < 1e-12


def test_interpolation_runs_from_student_to_teacher_without_gradient() -> None:
    student, teacher, _ = logits(11)
    log_q, log_p = student.requires_grad_().log_softmax(-1), teacher.log_softmax(-1)
    assert torch.allclose(objectives.interpolated(log_q, log_p, 0.0), log_q)
    assert torch.allclose(objectives.interpolated(log_q, log_p, 1.0), log_p)
    assert not objectives.interpolated(log_q, log_p, 0.5).requires_grad


@pytest.mark.parametrize("version", ["authors", "dskd", "taid"])
def test_akl_weights_lie_in_the_unit_interval_and_split_evenly_where_models_agree(
    version: objectives.AklVersion,
) -> None:
    student, teacher, _ = logits(12)
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    share = objectives.head_share(log_q, log_p, 0.5, version)
    assert ((share >= 0) & (share <= 1)).all()
    agreed = log_p.clone().requires_grad_()
    share = objectives.head_share(agreed, log_p, 0.5, version)
    assert torch.equal(share, torch.full((N,), 0.5, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(
        objectives.adaptive_kl(agreed, log_p, 0.5, version).sum(), agreed
    )
    assert torch.isfinite(gradient).all()


def test_akl_versions_differ_in_the_boundary_token_and_in_whose_gap_they_take() -> None:
    p = torch.tensor([[0.4, 0.3, 0.2, 0.1]], dtype=torch.float64)
    q = torch.tensor([[0.1, 0.4, 0.4, 0.1]], dtype=torch.float64)  # gaps .3 .1 .2 0
    share = {
        version: objectives.head_share(q.log(), p.log(), 0.5, version).item()
        for version in ("authors", "dskd", "taid")
    }
    assert share["authors"] == pytest.approx(0.3 / 0.6)  # {0}: with 1 the mass would be 0.7
    assert share["dskd"] == pytest.approx(0.4 / 0.6)  # {0, 1}: 2 and 3 have 0.3
    assert share["taid"] == pytest.approx(0.2 / 0.6)  # the last two places, read as {2, 3}


def test_akl_versions_agree_on_a_head_of_one_token() -> None:
    p = torch.tensor([[0.6, 0.2, 0.1, 0.1]], dtype=torch.float64)
    q = torch.tensor([[0.1, 0.4, 0.4, 0.1]], dtype=torch.float64)
    authors = objectives.head_share(q.log(), p.log(), 0.5, "authors").item()
    assert authors == objectives.head_share(q.log(), p.log(), 0.5, "dskd").item()
    assert authors == pytest.approx(0.5)


# The method files that use these functions.

LOSSES: dict[str, Objective] = {
    "jsd": CASES["jsd 0.5"][0],
    "skew_kl": CASES["skew_kl 0.1"][0],
    "skew_rkl": CASES["skew_rkl 0.1"][0],
    "tvd": CASES["tvd"][0],
    "alpha_beta": CASES["alpha_beta 0.2 0.7"][0],
    "todi": CASES["todi"][0],
    "drkl": CASES["drkl 1.0"][0],
    "taid": CASES["taid 0.4"][0],
    "akl": CASES["akl authors 0.5"][0],
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_methods_loss_is_its_objective_at_the_default_parameters(name: str) -> None:
    student, teacher, labels = logits(13)
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    method = method_class(name)()
    assert isinstance(method, TokenDivergence)
    assert set(method.defaults) == set(method.params)
    context = Context(0, 10, method.start(Run(1, 10, 1.0)))
    own = method.token_loss(log_q, log_p, labels, context)
    assert torch.equal(own, LOSSES[name](log_q, log_p, labels))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("jsd", {"beta": 0.0}, "beta must lie in"),
        ("jsd", {"beta": 1.0}, "beta must lie in"),
        ("skew_kl", {"skew": 1.0}, "skew must lie in"),
        ("skew_rkl", {"skew": -0.1}, "skew must lie in"),
        ("alpha_beta", {"alpha": -0.5, "beta": 0.5}, "alpha must be 0 or lie in"),
        ("alpha_beta", {"beta": 1e-4}, "beta must be 0 or lie in"),
        ("drkl", {"gamma": 0.0}, "gamma must be a positive number"),
        ("taid", {"t_start": 1.0}, "t_start < t_end"),
        ("taid", {"beta": 1.5}, "beta must lie in"),
        ("akl", {"version": "tiad"}, "version must be"),
        ("akl", {"threshold": 1.0}, "threshold must lie in"),
        ("bdkd", {"stressed": 0.5}, "plain ≤ stressed"),
    ],
)
def test_bad_parameters_are_refused(name: str, params: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        method_class(name)(**params)
    assert "\n" not in str(error.value)


def test_bdkd_stresses_the_divergence_that_the_flatter_model_calls_for() -> None:
    class Measured:
        def signals(self) -> Memory:
            return Memory(
                entropy_teacher_N=torch.tensor([2.0, 1.0, 1.0]),
                entropy_student_N=torch.tensor([1.0, 2.0, 1.0]),
            )

    method = method_class("bdkd")()
    assert isinstance(method, WeightedDivergences)
    weights = method.weights(Context(0, 1), Measured())  # type: ignore[arg-type]
    assert torch.as_tensor(weights.fkl).tolist() == [3.0, 1.0, 1.0]
    assert torch.as_tensor(weights.rkl).tolist() == [1.0, 3.0, 1.0]


def taid_path(losses: list[float], steps: int, **params: float) -> list[float]:
    """t at the start of each step and after the last."""
    method = method_class("taid")(**params)
    context = Context(0, steps, method.start(Run(1, steps, 1.0)))
    path = [context.state.t]
    for step, loss in enumerate(losses):
        method.observe(replace(context, step=step), loss)
        path.append(context.state.t)
    return path


def test_taid_follows_its_rule_for_t() -> None:
    losses = [2.0, 1.5, 1.8, 0.9]
    own = taid_path(losses, 1000, t_start=0.2, alpha=0.1, beta=0.9)
    t, m, expected = 0.2, 0.0, [0.2, 0.2]  # the first loss is only remembered
    for n in range(1, 4):
        m = 0.9 * m + 0.1 * (losses[n - 1] - losses[n]) / losses[n - 1]
        speed = 0.1 * torch.tensor(m, dtype=torch.float64).sigmoid().item() * (1 - t)
        t = min(1.0, max(0.2 + 0.8 * n / 1000, t + speed))
        expected.append(t)
    assert own == pytest.approx(expected)


def test_taid_is_the_linear_schedule_in_a_short_run() -> None:
    path = taid_path([1.0] * 100, 100)
    assert path[1:] == pytest.approx([0.4 + 0.6 * n / 100 for n in range(100)])


def test_taid_never_passes_its_end_and_survives_a_loss_of_zero() -> None:
    path = taid_path([0.0, 1.0, -1e-9, 5.0], 4, alpha=1.0, t_end=0.9)
    assert path == sorted(path)
    assert path[-1] <= 0.9


def test_taid_resumes_where_it_stood() -> None:
    method = method_class("taid")(alpha=0.1)
    context = Context(5, 1000, method.start(Run(1, 1000, 1.0)))
    for loss in (2.0, 1.0):
        method.observe(context, loss)
    fresh = method.start(Run(1, 1000, 1.0))
    assert fresh is not None
    tensors: dict[str, Tensor] = {}
    saved = flatten(context.state.state_dict(), tensors)
    fresh.load_state_dict(restore(saved, tensors))
    method.observe(context, 0.7)
    method.observe(replace(context, state=fresh), 0.7)
    assert fresh == context.state
