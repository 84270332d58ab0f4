"""Divergences in a training loop of one's own: autocast, compilation, checkpoints, wrong shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import oracles
import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from arkd import objectives
from arkd.divergence.head import Head
from arkd.divergence.losses import (
    Divergences,
    Teacher,
    cross_entropy,
    divergences,
    label_log_probs,
    token_divergence,
    token_values,
    weighted_divergences,
)
from arkd.metrics.token_fidelity import measure, measure_tokens
from arkd.suite.settings import TailSettings

N, V, H, G = 7, 31, 5, 6
LABELS_N = torch.arange(N)
Form = Callable[[Tensor, Head, Teacher], Tensor]


def student(**head: Any) -> tuple[Tensor, Head]:
    """Random states [N, H] and a head over them, both of which take a gradient."""
    generator = torch.Generator().manual_seed(0)
    states_NH = torch.randn(N, H, generator=generator).requires_grad_()
    return states_NH, Head(torch.randn(V, H, generator=generator).requires_grad_(), **head)


def other(tokens: int = N) -> Teacher:
    """A random teacher over some tokens."""
    generator = torch.Generator().manual_seed(1)
    states_NG = torch.randn(tokens, G, generator=generator)
    return Teacher(states_NG, Head(torch.randn(V, G, generator=generator)))


def before(x: Tensor, head: Head, teacher: Teacher, batch: bool = False) -> Divergences:
    """Both divergences before their weights are known."""
    return divergences(
        *(x, head, teacher, LABELS_N, LABELS_N // 3),
        temperature=2.0,
        variance="probabilities",
        batch_weights=batch,
    )


def early(x: Tensor, head: Head, teacher: Teacher) -> Tensor:
    return weighted_divergences(x, head, teacher, 0.3, 0.7, temperature=2.0)[0]


def by_objectives(x: Tensor, head: Head, teacher: Teacher) -> Tensor:
    def mixed(log_q: Tensor, log_p: Tensor, rows: slice) -> Tensor:
        forward, reverse = objectives.forward_kl(log_q, log_p), objectives.reverse_kl(log_q, log_p)
        return 0.3 * forward + 0.7 * reverse

    return token_divergence(x, head, teacher, mixed, temperature=2.0)


FORMS: dict[str, Form] = {
    "early": early,
    "recomputed": lambda *models: before(*models).loss(0.3, 0.7),
    "two gradients": lambda *models: before(*models, batch=True).loss(0.3, 0.7),
    "objectives": by_objectives,
}


def dense(x: Tensor, head: Head, teacher: Teacher) -> Tensor:
    """The same loss by the definition, in float64."""
    z_s = x.double() @ head.weight_VH.double().T
    if head.bias_V is not None:
        z_s = z_s + head.bias_V.double()
    z_t = teacher.hidden_NG.double() @ teacher.head.weight_VH.double().T
    return (0.3 * oracles.fkl(z_s, z_t, 2.0) + 0.7 * oracles.rkl(z_s, z_t, 2.0)).mean()


@pytest.mark.parametrize("form", FORMS)
def test_autocast_changes_no_bit(form: str) -> None:
    x, head = student()
    plain = FORMS[form](x, head, other())
    expected = torch.autograd.grad(plain, [x, head.weight_VH])
    with torch.autocast("cpu", torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16  # it is on
        loss = FORMS[form](x, head, other())
        found = torch.autograd.grad(loss, [x, head.weight_VH])
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(loss, plain)
    assert all(map(torch.equal, found, expected))


def test_autocast_changes_no_measured_value() -> None:
    x, head = student()
    teacher, settings = other(), TailSettings(top_k=3)
    plain, _ = measure_tokens(x, head, teacher.hidden_NG, teacher.head, LABELS_N, settings)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = measure_tokens(x, head, teacher.hidden_NG, teacher.head, LABELS_N, settings)
        log_q_N = label_log_probs(x, head, LABELS_N, temperature=1.0)
        entropy = cross_entropy(x, head, LABELS_N)
    assert all(torch.equal(found[key][0], plain[key][0]) for key in plain)
    dense_N = (x.double() @ head.weight_VH.double().T).log_softmax(-1)[LABELS_N, LABELS_N]
    assert torch.allclose(log_q_N.double(), dense_N, atol=1e-5)
    assert float(entropy.detach()) == pytest.approx(-float(dense_N.detach().mean()), abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_compiled_model_gets_the_same_loss_and_gradient(form: str) -> None:
    x, head = student()
    torch.compiler.reset()
    compiled = torch.compile(lambda x: FORMS[form](x * 2.0, head, other()), backend="eager")
    found = torch.autograd.grad(compiled(x), [x, head.weight_VH])
    expected = torch.autograd.grad(dense(x * 2.0, head, other()), [x, head.weight_VH])
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpointed_part_of_a_model_may_hold_the_loss(form: str) -> None:
    x, head = student()
    loss = checkpoint(lambda x: FORMS[form](x, head, other()), x, use_reentrant=False)
    found = torch.autograd.grad(loss, [x, head.weight_VH])
    expected = torch.autograd.grad(dense(x, head, other()), [x, head.weight_VH])
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_either_part_of_a_head_may_be_frozen_alone(form: str, frozen: str) -> None:
    x, head = student(bias_V=torch.linspace(-1, 1, V).requires_grad_())
    assert head.bias_V is not None
    part = head.weight_VH if frozen == "weight" else head.bias_V
    kept = head.bias_V if frozen == "weight" else head.weight_VH
    part.requires_grad_(False)
    found = torch.autograd.grad(FORMS[form](x, head, other()), [x, kept])
    expected = torch.autograd.grad(dense(x, head, other()), [x, kept])
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


@pytest.mark.parametrize("form", ["early", "recomputed"])
@pytest.mark.parametrize("weight", [torch.ones(N, 1), torch.ones(1, N), torch.ones(N - 1)], ids=str)
def test_weights_of_another_shape_are_not_spread(form: str, weight: Tensor) -> None:
    x, head = student()
    told = rf"one number, or one a token, \[{N}\], not \["
    if form == "early":
        with pytest.raises(ValueError, match=told):
            weighted_divergences(x, head, other(), weight, 1.0, temperature=1.0)
    else:
        found = before(x, head, other())
        with pytest.raises(ValueError, match=told):
            found.loss(weight, 1.0)


@pytest.mark.parametrize("batch", [False, True])
def test_a_weight_of_one_entry_is_one_number(batch: bool) -> None:
    x, head = student()
    found = before(x, head, other(), batch).loss(torch.tensor([0.3]), torch.tensor([[0.7]]))
    assert float(found.detach()) == pytest.approx(float(dense(x, head, other()).detach()), rel=1e-5)


def test_weights_of_a_float64_loss_are_not_rounded() -> None:
    x, head = student()
    teacher = other()
    double = Teacher(teacher.hidden_NG.double(), teacher.head.to(torch.float64))
    found = early(x.double(), head.to(torch.float64), double)
    assert float(found.detach()) == pytest.approx(
        float(dense(x, head, teacher).detach()), rel=1e-13
    )


WRONG: dict[str, Callable[[Tensor, Head], Any]] = {
    "a mean": lambda x, head: token_divergence(
        x, head, other(), lambda q, p, rows: (q - p).mean(), temperature=1.0
    ),
    "not summed": lambda x, head: token_divergence(
        x, head, other(), lambda q, p, rows: q - p, temperature=1.0
    ),
    "a value for all": lambda x, head: token_values(
        x, head, other(), lambda q, p, rows: q.sum(), temperature=1.0
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_not_one_number_a_token_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=rf"one number a token is wanted, \[{N}\]"):
        WRONG[wrong](*student())


@pytest.mark.parametrize("tokens", [N - 1, N + 1])
def test_a_teacher_of_other_tokens_is_refused(tokens: int) -> None:
    x, head = student()
    teacher = other(tokens)
    for form in FORMS.values():
        with pytest.raises(ValueError, match=f"{N} tokens, and of {tokens} of the teacher's"):
            form(x, head, teacher)
    with pytest.raises(ValueError, match=f"{N} tokens, {tokens} of the teacher's and {N} labels"):
        measure_tokens(*(x, head, teacher.hidden_NG, teacher.head, LABELS_N), TailSettings(top_k=3))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    x, head = student()
    with pytest.raises(ValueError, match="the temperature is a positive number"):
        weighted_divergences(x, head, other(), 1.0, 0.0, temperature=temperature)
    with pytest.raises(ValueError, match="the temperature is a positive number"):
        label_log_probs(x, head, LABELS_N, temperature=temperature)


SHARES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "skew_kl": objectives.skew_kl,
    "skew_rkl": objectives.skew_rkl,
    "jsd": objectives.jsd,
    "head_share": objectives.head_share,
    "adaptive_kl": objectives.adaptive_kl,
}


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_of_its_range_is_refused(name: str, share: float) -> None:
    log_q, log_p = torch.randn(2, 3, V).log_softmax(-1)
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        SHARES[name](log_q, log_p, share)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_log_probabilities_give_finite_losses(dtype: torch.dtype) -> None:
    log_q, log_p = torch.randn(2, 3, V, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    log_q[0, 1] = log_p[1, 2] = -torch.inf
    log_q, log_p = log_q.to(dtype), log_p.to(dtype)
    exact_q, exact_p = log_q.double(), log_p.double()
    for divergence in (objectives.forward_kl, objectives.reverse_kl, objectives.tvd):
        found = divergence(log_q, log_p)
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), divergence(exact_q, exact_p), rtol=1e-5)


def test_logits_in_half_precision_are_measured_in_float32() -> None:
    z_s, z_t = torch.randn(2, N, V, generator=torch.Generator().manual_seed(3)).bfloat16()
    settings = TailSettings(top_k=3)
    found = measure(z_s, z_t, LABELS_N, settings)
    sums_N = found["fkl", ""][0]
    assert sums_N.dtype == torch.float32
    assert torch.allclose(sums_N.double(), oracles.fkl(z_s.double(), z_t.double(), 1.0), rtol=1e-4)
