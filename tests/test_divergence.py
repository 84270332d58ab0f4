"""The fused divergence against dense float64 formulas and closed-form gradients."""

from __future__ import annotations

from collections.abc import Iterator

import oracles
import pytest
import torch
from torch import Tensor

from arkd import divergence
from arkd.divergence import Teacher

N, V, H, G = 7, 31, 5, 6


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    """Cut the work into several chunks, so that their seams are tested."""
    previous, divergence.CHUNK_BYTES = divergence.CHUNK_BYTES, 4 * V * 3
    yield
    divergence.CHUNK_BYTES = previous


def values(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Teacher]:
    """Random hidden states and heads of student and teacher."""
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, H, generator=g).to(dtype).requires_grad_()
    head = torch.randn(V, H, generator=g).to(dtype).requires_grad_()
    teacher = Teacher(torch.randn(N, G, generator=g), torch.randn(V, G, generator=g))
    return hidden, head, teacher


def dense_logits(hidden: Tensor, head: Tensor, teacher: Teacher) -> tuple[Tensor, Tensor]:
    """Float64 logits of both."""
    t = teacher.hidden_NG.double() @ teacher.head_VG.double().T
    return hidden.double() @ head.double().T, t


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("per_token", [False, True])
def test_value_and_gradient_equal_the_dense_formula(temperature: float, per_token: bool) -> None:
    hidden, head, teacher = values()
    a: Tensor | float = torch.rand(N) if per_token else 0.3
    b: Tensor | float = torch.rand(N) if per_token else 0.7
    loss, fkl_N, rkl_N = divergence.weighted_divergences(
        hidden, head, teacher, a, b, temperature=temperature
    )
    loss.backward()
    hidden64 = hidden.detach().double().requires_grad_()
    head64 = head.detach().double().requires_grad_()
    z_s, z_t = dense_logits(hidden64, head64, teacher)
    fkl, rkl = oracles.fkl(z_s, z_t, temperature), oracles.rkl(z_s, z_t, temperature)
    dense = (torch.as_tensor(a) * fkl + torch.as_tensor(b) * rkl).mean()
    dense.backward()
    assert torch.allclose(fkl_N.double(), fkl, atol=1e-5)
    assert torch.allclose(rkl_N.double(), rkl, atol=1e-5)
    assert loss.item() == pytest.approx(dense.item(), abs=1e-5)
    assert torch.allclose(hidden.grad.double(), hidden64.grad, atol=1e-5)
    assert torch.allclose(head.grad.double(), head64.grad, atol=1e-5)


def test_both_vanish_where_the_models_agree() -> None:
    hidden, head, _ = values()
    teacher = Teacher(hidden.detach().clone(), head.detach().clone())
    loss, fkl_N, rkl_N = divergence.weighted_divergences(
        hidden, head, teacher, 0.5, 0.5, temperature=2.0
    )
    loss.backward()
    assert fkl_N.abs().max() < 1e-6
    assert rkl_N.abs().max() < 1e-6
    assert hidden.grad.abs().max() < 1e-6


def test_forward_kl_is_the_one_that_pays_for_a_missed_mode() -> None:
    teacher_logits = torch.tensor([[0.0, 0.0, -9.0]])  # two modes
    student_logits = torch.tensor([[0.0, -9.0, -9.0]])  # covers one of them
    eye = torch.eye(3)
    _, fkl_N, rkl_N = divergence.weighted_divergences(
        student_logits, eye, Teacher(teacher_logits, eye), 1.0, 0.0, temperature=1.0
    )
    assert fkl_N.item() > 3.5 > 1.0 > rkl_N.item()


def test_signals_equal_their_definitions() -> None:
    hidden, head, teacher = values(1)
    labels, sequence = torch.arange(N) % V, torch.arange(N) // 3
    s = divergence.measure(
        *(hidden, head, teacher, labels, sequence),
        temperature=2.0,
        variance="probabilities",
        head_mass=0.5,
    )
    z_s, z_t = dense_logits(hidden.detach(), head.detach(), teacher)
    nll = -oracles.probabilities(z_s).gather(1, labels[:, None]).log().squeeze(1)
    assert torch.allclose(s.nll_N.double(), nll, atol=1e-5)  # at temperature 1, whatever softens
    assert torch.equal(s.sequence_N, sequence)
    p, q = oracles.probabilities(z_t, 2.0), oracles.probabilities(z_s, 2.0)
    assert torch.allclose(s.fkl_N.double(), oracles.fkl(z_s, z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.rkl_N.double(), oracles.rkl(z_s, z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.entropy_teacher_N.double(), oracles.entropy(z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.entropy_student_N.double(), oracles.entropy(z_s, 2.0), atol=1e-5)
    assert torch.allclose(s.variance_teacher_N.double(), ((p - 1 / V) ** 2).mean(-1), atol=1e-6)
    assert torch.allclose(s.variance_student_N.double(), ((q - 1 / V) ** 2).mean(-1), atol=1e-6)
    for row in range(N):
        ranked = sorted(range(V), key=lambda v: -float(p[row, v]))
        mass, in_head = 0.0, []
        for place, v in enumerate(ranked):
            mass += float(p[row, v])
            if place == 0 or mass <= 0.5:
                in_head.append(v)
        gap = (p[row] - q[row]).abs()
        expected = float(gap[in_head].sum())
        assert s.head_gap_N is not None
        assert s.tail_gap_N is not None
        assert s.head_gap_N[row].item() == pytest.approx(expected, abs=1e-5)
        assert s.tail_gap_N[row].item() == pytest.approx(float(gap.sum()) - expected, abs=1e-5)


def test_vocabulary_padding_is_cut_not_counted() -> None:
    hidden, head, teacher = values(2)
    padded = Teacher(teacher.hidden_NG, torch.cat([teacher.head_VG, torch.full((4, G), 9.0)]))
    plain, _, _ = divergence.weighted_divergences(hidden, head, teacher, 1.0, 1.0, temperature=1.0)
    cut, _, _ = divergence.weighted_divergences(hidden, head, padded, 1.0, 1.0, temperature=1.0)
    assert plain.item() == cut.item()


@pytest.mark.parametrize("extreme", [1e4, torch.inf])
def test_impossible_tokens_do_not_poison_the_loss(extreme: float) -> None:
    student = torch.tensor([[1.0, 2.0, -extreme]], requires_grad=True)
    eye = torch.eye(3)
    # A product with an infinite state is not defined; the closed form itself must survive.
    soft = divergence.Softened.of(student.detach(), torch.tensor([[2.0, 1.0, -extreme]]), 1.0)
    finite = divergence.Softened.of(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]]), 1.0)
    assert soft.fkl().item() == pytest.approx(finite.fkl().item(), abs=1e-6)
    assert soft.rkl().item() == pytest.approx(finite.rkl().item(), abs=1e-6)
    if extreme < torch.inf:
        loss, _, _ = divergence.weighted_divergences(
            student,
            eye,
            Teacher(torch.tensor([[2.0, 1.0, -extreme]]), eye),
            0.5,
            0.5,
            temperature=1,
        )
        loss.backward()
        assert torch.isfinite(student.grad).all()


def test_no_tokens_cost_nothing() -> None:
    hidden, head, teacher = values()
    empty = Teacher(teacher.hidden_NG[:0], teacher.head_VG)
    loss, _, _ = divergence.weighted_divergences(hidden[:0], head, empty, 1.0, 0.0, temperature=1.0)
    loss.backward()
    assert loss.item() == 0.0
    assert head.grad.abs().max() == 0.0


def test_nothing_of_vocabulary_size_is_kept_for_a_token() -> None:
    kept: list[tuple[int, ...]] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    hidden, head, teacher = values()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        divergence.weighted_divergences(hidden, head, teacher, 0.5, 0.5, temperature=1.0)
    assert (N, H) in kept  # the gradient of the states, formed in the forward sweep
    assert not [shape for shape in kept if shape[:1] == (N,) and V in shape[1:]]


def test_cross_entropy_equals_torch() -> None:
    hidden, head, _ = values(3)
    labels = torch.randint(0, V, (N,), generator=torch.Generator().manual_seed(5))
    loss = divergence.cross_entropy(hidden, head, labels)
    loss.backward()
    own = hidden.grad.clone()
    hidden.grad = None
    dense = torch.nn.functional.cross_entropy(hidden @ head.T, labels)
    dense.backward()
    assert loss.item() == pytest.approx(dense.item(), abs=1e-5)
    assert torch.allclose(own, hidden.grad, atol=1e-5)


def test_gradient_passes_gradcheck() -> None:
    """Numerical derivatives of the value, at a float32 tolerance."""
    hidden, head, teacher = values(4)

    def value(h: Tensor) -> float:
        loss, _, _ = divergence.weighted_divergences(h, head, teacher, 0.4, 0.6, temperature=2.0)
        return loss.item()

    loss, _, _ = divergence.weighted_divergences(hidden, head, teacher, 0.4, 0.6, temperature=2.0)
    loss.backward()
    step = 1e-2
    for n, h in [(0, 0), (3, 2), (6, 4)]:
        nudge = torch.zeros(N, H)
        nudge[n, h] = step
        slope = (value(hidden.detach() + nudge) - value(hidden.detach() - nudge)) / (2 * step)
        assert hidden.grad[n, h].item() == pytest.approx(slope, abs=2e-4)
