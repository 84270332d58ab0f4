"""The fused divergences against dense float64 formulas, numerical gradients and what they keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import oracles
import pytest
import torch
from torch import Tensor

from arkd.divergence import chunked as sweeps
from arkd.divergence import losses as divergence
from arkd.divergence.head import Head
from arkd.divergence.losses import Divergences, Teacher
from arkd.divergence.signals import Softened
from arkd.objectives import LOG_ZERO

N, V, H, G = 7, 31, 5, 6
FORMS = ("early", "recomputed", "two_gradients")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the work into several chunks and blocks, so that their seams are tested."""
    monkeypatch.setattr(sweeps, "CHUNK_BYTES", 4 * V * 3)
    monkeypatch.setattr(sweeps, "BLOCK_BYTES", 4 * V * 2)


def values(
    seed: int = 0, dtype: torch.dtype = torch.float32, n: int = N, hidden: int = H, **heads: Any
) -> tuple[Tensor, Head, Teacher]:
    """Random hidden states and heads of student and teacher."""
    g = torch.Generator().manual_seed(seed)
    states = torch.randn(n, hidden, generator=g).to(dtype).requires_grad_()
    weight = torch.randn(V, hidden, generator=g).to(dtype).requires_grad_()
    teacher = torch.randn(n, G, generator=g).to(dtype), torch.randn(V, G, generator=g).to(dtype)
    return states, Head(weight, **heads), Teacher(teacher[0], Head(teacher[1]))


def late(hidden: Tensor, head: Head, teacher: Teacher, T: float, batch: bool) -> Divergences:
    """Both divergences before their weights are known."""
    tokens = torch.arange(len(hidden), device=hidden.device)
    return divergence.divergences(
        *(hidden, head, teacher, tokens % min(len(head), len(teacher.head)), tokens // 3),
        temperature=T,
        variance="probabilities",
        batch_weights=batch,
    )


def loss_of(
    form: str, hidden: Tensor, head: Head, teacher: Teacher, a: Any, b: Any, T: float
) -> Tensor:
    """The same loss by each of the three ways to its gradient."""
    if form == "early":
        return divergence.weighted_divergences(hidden, head, teacher, a, b, temperature=T)[0]
    return late(hidden, head, teacher, T, form == "two_gradients").loss(a, b)


def dense_logits(head: Head, hidden: Tensor) -> Tensor:
    """Float64 logits by the definition of a head."""
    z = hidden.double() @ head.weight_VH.double().T
    if head.bias_V is not None:
        z = z + head.bias_V.double()
    z = z * head.scale
    return z if head.soft_cap is None else head.soft_cap * torch.tanh(z / head.soft_cap)


def dense(hidden: Tensor, head: Head, teacher: Teacher, a: Any, b: Any, T: float) -> Tensor:
    """The mean of a·FKL + b·RKL in float64."""
    z_s = dense_logits(head, hidden)
    z_t = dense_logits(teacher.head, teacher.hidden_NG)
    fkl, rkl = oracles.fkl(z_s, z_t, T), oracles.rkl(z_s, z_t, T)
    return (torch.as_tensor(a) * fkl + torch.as_tensor(b) * rkl).mean()


def gradients(loss: Callable[[Tensor, Head], Tensor], hidden: Tensor, head: Head) -> list[Tensor]:
    """Value and gradients of a loss, all in float64."""
    leaves = [hidden.detach().clone().requires_grad_(), head.weight_VH.detach().clone()]
    leaves[1].requires_grad_()
    if head.bias_V is not None:
        leaves.append(head.bias_V.detach().clone().requires_grad_())
    own = Head(leaves[1], *leaves[2:], scale=head.scale, soft_cap=head.soft_cap)
    if head.bias_V is None:
        own = Head(leaves[1], None, head.scale, head.soft_cap)
    value = loss(leaves[0], own)
    return [value.detach().double(), *(x.double() for x in torch.autograd.grad(value, leaves))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("hidden", [H, G + 2])  # a student narrower and wider than its teacher
def test_value_and_gradient_equal_the_dense_formula(
    form: str, temperature: float, hidden: int
) -> None:
    states, head, teacher = values(hidden=hidden)
    found = gradients(
        lambda x, w: loss_of(form, x, w, teacher, 0.3, 0.7, temperature), states, head
    )
    expected = gradients(lambda x, w: dense(x, w, teacher, 0.3, 0.7, temperature), states, head)
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


@pytest.mark.parametrize("form", ["early", "recomputed"])
def test_weights_may_differ_from_token_to_token(form: str) -> None:
    states, head, teacher = values()
    a, b = torch.rand(N), torch.rand(N)
    found = gradients(lambda x, w: loss_of(form, x, w, teacher, a, b, 2.0), states, head)
    expected = gradients(lambda x, w: dense(x, w, teacher, a, b, 2.0), states, head)
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


def test_weights_of_tokens_are_refused_where_one_for_all_was_announced() -> None:
    with pytest.raises(ValueError, match="batch_weights"):
        late(*values(), 1.0, True).loss(torch.rand(N), 0.5)


def test_the_narrower_student_gets_two_gradients_and_the_wider_one_recomputes() -> None:
    assert late(*values(hidden=G - 1), 1.0, True).fkl.shape == ()  # sums: gradients are formed
    assert late(*values(hidden=G), 1.0, True).fkl.shape == (N,)
    assert late(*values(hidden=G - 1), 1.0, False).fkl.shape == (N,)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "settings",
    [
        {"bias_V": torch.linspace(-2, 1, V)},
        {"scale": 0.25},
        {"soft_cap": 3.0},
        {"bias_V": torch.linspace(-2, 1, V), "scale": 1.5, "soft_cap": 2.0},
    ],
    ids=["bias", "scale", "cap", "all"],
)
def test_bias_scale_and_cap_of_a_head(form: str, settings: dict[str, Any]) -> None:
    states, head, _ = values(**settings)
    _, capped, teacher = values(3, hidden=G, **settings)
    teacher = Teacher(teacher.hidden_NG, capped.detach())  # of the same family
    found = gradients(lambda x, w: loss_of(form, x, w, teacher, 0.3, 0.7, 2.0), states, head)
    expected = gradients(lambda x, w: dense(x, w, teacher, 0.3, 0.7, 2.0), states, head)
    assert len(found) == 3 + ("bias_V" in settings)
    for own, oracle in zip(found, expected, strict=True):
        assert torch.allclose(own, oracle, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_pass_gradcheck_in_float64(form: str) -> None:
    bias = torch.linspace(-1, 1, V, dtype=torch.float64, requires_grad=True)
    states, head, teacher = values(4, torch.float64)

    def loss(hidden: Tensor, weight: Tensor, bias_V: Tensor) -> Tensor:
        own = Head(weight, bias_V, scale=0.8, soft_cap=4.0)
        return loss_of(form, hidden, own, teacher, 0.4, 0.6, 2.0)

    assert torch.autograd.gradcheck(loss, (states, head.weight_VH, bias))


def test_each_tokens_divergences_pass_gradcheck_before_their_weights_are_known() -> None:
    states, head, teacher = values(5, torch.float64)

    def both(hidden: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        found = late(hidden, Head(weight), teacher, 2.0, False)
        return found.fkl, found.rkl

    assert torch.autograd.gradcheck(both, (states, head.weight_VH))


def test_an_objective_of_tokens_and_cross_entropy_pass_gradcheck() -> None:
    states, head, teacher = values(6, torch.float64)
    labels = torch.arange(N) % V

    def total_variation(log_q: Tensor, log_p: Tensor, rows: slice) -> Tensor:
        return 0.5 * (log_q.exp() - log_p.exp()).square().sum(-1) + log_q[:, rows.start]

    def token_loss(hidden: Tensor, weight: Tensor) -> Tensor:
        return divergence.token_divergence(
            hidden, Head(weight), teacher, total_variation, temperature=2.0
        )

    def cross_entropy(hidden: Tensor, weight: Tensor) -> Tensor:
        return divergence.cross_entropy(hidden, Head(weight), labels)

    for loss in (token_loss, cross_entropy):
        assert torch.autograd.gradcheck(loss, (states, head.weight_VH))


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_inputs_are_accumulated_in_float32(form: str) -> None:
    """The result is the exact one of the rounded inputs, but for its own rounding to bfloat16."""
    states, head, teacher = values(8, torch.bfloat16, n=64)
    found = gradients(lambda x, w: loss_of(form, x, w, teacher, 0.3, 0.7, 2.0), states, head)
    expected = gradients(lambda x, w: dense(x, w, teacher, 0.3, 0.7, 2.0), states, head)
    assert found[0] == pytest.approx(float(expected[0]), rel=1e-5)  # the loss is float32
    for own, oracle in zip(found[1:], expected[1:], strict=True):
        assert (own - oracle).abs().max() <= 2**-8 * oracle.abs().max()  # half a unit, and 3 steps


def test_both_vanish_where_the_models_agree() -> None:
    hidden, head, _ = values()
    teacher = Teacher(hidden.detach().clone(), head.detach())
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
    eye = Head(torch.eye(3))
    _, fkl_N, rkl_N = divergence.weighted_divergences(
        student_logits, eye, Teacher(teacher_logits, eye), 1.0, 0.0, temperature=1.0
    )
    assert fkl_N.item() > 3.5 > 1.0 > rkl_N.item()


@pytest.mark.parametrize("variance", ["probabilities", "logits"])
def test_signals_equal_their_definitions(variance: Any) -> None:
    hidden, head, teacher = values(1)
    labels, sequence = torch.arange(N) % V, torch.arange(N) // 3
    with torch.no_grad():
        s = divergence.divergences(
            *(hidden, head, teacher, labels, sequence),
            temperature=2.0,
            variance=variance,
            head_mass=0.5,
        ).signals
    z_s = dense_logits(head, hidden).detach()
    z_t = dense_logits(teacher.head, teacher.hidden_NG)
    nll = -oracles.probabilities(z_s).gather(1, labels[:, None]).log().squeeze(1)
    assert torch.allclose(s.nll_N.double(), nll, atol=1e-5)  # at temperature 1, whatever softens
    assert torch.equal(s.sequence_N, sequence)
    p, q = oracles.probabilities(z_t, 2.0), oracles.probabilities(z_s, 2.0)
    assert torch.allclose(s.fkl_N.double(), oracles.fkl(z_s, z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.rkl_N.double(), oracles.rkl(z_s, z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.entropy_teacher_N.double(), oracles.entropy(z_t, 2.0), atol=1e-5)
    assert torch.allclose(s.entropy_student_N.double(), oracles.entropy(z_s, 2.0), atol=1e-5)
    spread = (p, q) if variance == "probabilities" else (z_t, z_s)
    for found, x in zip((s.variance_teacher_N, s.variance_student_N), spread, strict=True):
        expected = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1)
        assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-7)
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


@pytest.mark.parametrize("batch", [False, True])
def test_signals_are_the_same_whatever_gradient_is_formed_along(batch: bool) -> None:
    inputs = values(2)
    with torch.no_grad():
        alone = divergence.divergences(
            *(inputs[0], inputs[1], inputs[2], torch.arange(N) % V, torch.arange(N) // 3),
            temperature=2.0,
            variance="probabilities",
        ).signals
    along = late(*inputs, 2.0, batch).signals
    for name, value in vars(alone).items():
        assert value is getattr(along, name) is None or torch.equal(value, getattr(along, name))


@pytest.mark.parametrize("form", FORMS)
def test_vocabulary_padding_is_cut_not_counted(form: str) -> None:
    hidden, head, teacher = values(2)
    padding = torch.full((4, G), 9.0)
    padded = Teacher(teacher.hidden_NG, Head(torch.cat([teacher.head.weight_VH, padding])))
    wide = Head(torch.cat([head.weight_VH.detach(), torch.full((2, H), 9.0)]).requires_grad_())
    losses = [
        loss_of(form, hidden, *models, 1.0, 1.0, 1.0)
        for models in ((head, teacher), (head, padded), (wide, teacher))
    ]
    assert losses[0].item() == losses[1].item() == losses[2].item()
    losses[2].backward()
    assert wide.weight_VH.grad[V:].abs().max() == 0
    assert wide.weight_VH.grad[:V].abs().max() > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_logits_of_ten_thousand_stay_finite_and_right(form: str, scale: float) -> None:
    g = torch.Generator().manual_seed(0)
    student, teacher = (scale * torch.randn(4, 3, generator=g).sign() for _ in range(2))
    eye = Head(torch.eye(3).requires_grad_())
    of_teacher = Teacher(teacher, Head(torch.eye(3)))

    def exact(hidden: Tensor, own: Head) -> Tensor:  # in the logarithm: probabilities underflow
        log_q = dense_logits(own, hidden).log_softmax(-1)
        log_p = teacher.double().log_softmax(-1)
        return 0.5 * ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean()

    found = gradients(lambda x, w: loss_of(form, x, w, of_teacher, 0.5, 0.5, 1.0), student, eye)
    expected = gradients(exact, student, eye)
    for own, oracle in zip(found, expected, strict=True):
        assert torch.isfinite(own).all()
        assert torch.allclose(own, oracle, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_tokens_that_neither_model_can_say_change_nothing(form: str) -> None:
    """Logits of −∞, as a bias masks padding with, are as good as a smaller vocabulary."""
    hidden, head, teacher = values(9)
    mask = torch.where(torch.arange(V) < V - 4, 0.0, -torch.inf)
    weight = head.weight_VH.detach()
    cut = Teacher(teacher.hidden_NG, teacher.head.cut(V - 4))
    masked = Teacher(teacher.hidden_NG, Head(teacher.head.weight_VH, mask))
    few = gradients(
        lambda x, w: loss_of(form, x, w, cut, 0.5, 0.5, 1.0), hidden, Head(weight[: V - 4])
    )
    all_ = gradients(
        lambda x, w: loss_of(form, x, w, masked, 0.5, 0.5, 1.0), hidden, Head(weight, mask)
    )
    assert torch.allclose(all_[0], few[0], atol=1e-6)
    assert torch.allclose(all_[1], few[1], atol=1e-6)
    assert torch.allclose(all_[2][: V - 4], few[2], atol=1e-6)
    assert all_[2][V - 4 :].abs().max() == 0


def test_a_token_that_one_model_alone_can_say_has_a_finite_price() -> None:
    """log 0 counts as LOG_ZERO: 0.5·(log 0.5 − LOG_ZERO) for the half that is impossible."""
    both, one = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, -torch.inf]])
    price = 0.5 * torch.tensor(0.5).log() * 2 - 0.5 * LOG_ZERO
    assert Softened.of(one, both, 1.0).fkl().item() == pytest.approx(price.item(), rel=1e-6)
    assert Softened.of(both, one, 1.0).rkl().item() == pytest.approx(price.item(), rel=1e-6)
    soft = Softened.of(both, one, 1.0)
    gradient = soft.gradient(torch.ones(1), torch.ones(1), soft.rkl())
    assert torch.isfinite(gradient).all()
    assert gradient[0, 1] > 1e3 > 0 > gradient[0, 0]  # away from the impossible


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [0, 1])
def test_no_token_costs_nothing_and_one_is_a_mean_of_its_own(form: str, n: int) -> None:
    hidden, head, teacher = values(n=n)
    loss = loss_of(form, hidden, head, teacher, 1.0, 0.5, 1.0)
    loss.backward()
    if n == 0:
        assert loss.item() == 0.0
        assert hidden.grad.shape == (0, H)
        assert head.weight_VH.grad.abs().max() == 0.0
    else:
        exact = dense(hidden, head, teacher, 1.0, 0.5, 1.0)
        assert loss.item() == pytest.approx(exact.item(), abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_vocabulary_of_one_token_has_nothing_to_learn(form: str) -> None:
    hidden, head, teacher = values()
    one = head.cut(1).detach()
    loss = loss_of(form, hidden, one, Teacher(teacher.hidden_NG, teacher.head), 1.0, 1.0, 1.0)
    loss.backward()
    assert loss.item() == 0.0
    assert hidden.grad.abs().max() == 0.0


@pytest.mark.parametrize("form", FORMS)
def test_the_size_of_chunks_and_blocks_changes_nothing(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, head, teacher = values(11)
    found = []
    for chunk, block in itertools.product((1, 2, N), (1, 3)):  # rows of each
        monkeypatch.setattr(sweeps, "CHUNK_BYTES", 4 * V * chunk)
        monkeypatch.setattr(sweeps, "BLOCK_BYTES", 4 * V * block)
        found.append(
            gradients(lambda x, w: loss_of(form, x, w, teacher, 0.3, 0.7, 2.0), states, head)
        )
    for other in found[1:]:
        for own, first in zip(other, found[0], strict=True):
            assert torch.allclose(own, first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_kept_does_not_grow_with_the_vocabulary(form: str) -> None:
    """Bytes saved for the backward pass, the head and its gradients apart."""

    def kept(vocabulary: int) -> int:
        g = torch.Generator().manual_seed(0)
        weight = torch.randn(vocabulary, H, generator=g).requires_grad_()
        hidden = torch.randn(N, H, generator=g).requires_grad_()
        teacher = Teacher(torch.randn(N, G, generator=g), Head(torch.randn(vocabulary, G)))
        total = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal total
            if tensor.shape != (vocabulary, H):
                assert vocabulary not in tensor.shape
                total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss_of(form, hidden, Head(weight), teacher, 0.5, 0.5, 1.0)
        return total

    assert kept(31) == kept(311) > 0


def test_cross_entropy_equals_torch() -> None:
    hidden, head, _ = values(3)
    labels = torch.randint(0, V, (N,), generator=torch.Generator().manual_seed(5))
    loss = divergence.cross_entropy(hidden, head, labels)
    loss.backward()
    own = hidden.grad.clone()
    hidden.grad = None
    exact = torch.nn.functional.cross_entropy(hidden @ head.weight_VH.T, labels)
    exact.backward()
    assert loss.item() == pytest.approx(exact.item(), abs=1e-5)
    assert torch.allclose(own, hidden.grad, atol=1e-5)


def test_values_of_tokens_are_those_of_dense_log_probabilities_chunk_by_chunk() -> None:
    hidden, head, teacher = values(3)
    scale_N, sizes = torch.arange(1.0, N + 1), []

    def value(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
        sizes.append(len(log_q_CV))
        return scale_N[rows] * (log_q_CV.exp() * log_p_CV).sum(-1)

    found = divergence.token_values(hidden, head, teacher, value, temperature=2.0)
    q_NV = torch.softmax(dense_logits(head, hidden) / 2.0, -1)
    log_p_NV = torch.log_softmax(dense_logits(teacher.head, teacher.hidden_NG) / 2.0, -1)
    assert torch.allclose(found.double(), scale_N * (q_NV * log_p_NV).sum(-1), rtol=1e-5)
    assert not found.requires_grad
    assert len(sizes) > 1


def test_label_log_probs_equal_torch() -> None:
    hidden, head, _ = values(3)
    labels = torch.arange(N) % V
    found = divergence.label_log_probs(hidden, head, labels, temperature=2.0)
    exact = torch.log_softmax(dense_logits(head, hidden) / 2.0, -1)
    assert torch.allclose(found.double(), exact[torch.arange(N), labels], atol=1e-5)
    assert not found.requires_grad
