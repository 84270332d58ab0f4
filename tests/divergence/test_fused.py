"""Triton's kernel against softmaxes written out in float64 and the operators that it replaces.

It runs on a GPU where there is one, else in Triton's interpreter, which `conftest` has switched on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from test_divergence import FORMS, G, H, V, dense, gradients, late, loss_of, values
from torch import Tensor

from arkd import kernels
from arkd.divergence import chunked as sweeps
from arkd.divergence import fused
from arkd.divergence.head import Head
from arkd.divergence.losses import Teacher
from arkd.divergence.signals import Measurements
from arkd.objectives import LOG_ZERO

pytest.importorskip(
    "triton",
    reason="no Triton: `make test-triton` fetches it and runs these tests",
)
CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy's, of −inf − (−inf)
    *([pytest.mark.gpu] if CUDA else []),
]
LOWEST = torch.finfo(torch.float32).min
BLOCK = 32
HARDWARE = 10 if CUDA else 1  # a GPU's exponentials are off by more, and these bounds are a CPU's
ROUNDED = 1e-5  # a gradient's error: that of d − RKL, two large numbers, shows in it


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a row into several blocks, so that their seams are tested."""
    monkeypatch.setattr(fused, "BLOCK", BLOCK)


def normal(seed: int, tokens: int, vocabulary: int, std: float = 3.0) -> Tensor:
    return std * torch.randn(tokens, vocabulary, generator=torch.Generator().manual_seed(seed))


def pair(tokens: int = 4, vocabulary: int = 97, std: float = 3.0) -> tuple[Tensor, Tensor]:
    return normal(1, tokens, vocabulary, std), normal(2, tokens, vocabulary, std)


def masked(fill: float, student: slice | None, teacher: slice | None) -> tuple[Tensor, Tensor]:
    """Two blocks of logits of which columns are filled with a value that means impossible."""
    z_s, z_t = pair()
    for z, columns in ((z_s, student), (z_t, teacher)):
        if columns is not None:
            z[1:, columns] = fill
    return z_s, z_t


def spread(scale: float) -> tuple[Tensor, Tensor]:
    z_s, z_t = pair()
    return scale * z_s.sign(), scale * z_t.sign()


def sorted_(descending: bool) -> tuple[Tensor, Tensor]:
    """The greatest logit comes last, so that each block rescales what was summed before it."""
    z_s, z_t = pair(std=20.0)
    return z_s.sort(descending=descending).values, z_t.sort(descending=descending).values


CASES: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    **{f"vocabulary of {v}": lambda v=v: pair(3, v) for v in (1, 2, 31, 32, 33, 64, 300)},
    "a single row": lambda: pair(1),
    "nearly the same": lambda: (pair()[0], pair()[0] + 1e-3 * pair()[1]),
    "peaked": lambda: pair(std=40.0),
    "rising": lambda: sorted_(False),
    "falling": lambda: sorted_(True),
    "far from zero": lambda: (pair()[0] + 3000, pair()[1] - 2000),
    "ten thousand": lambda: spread(1e4),
    "a hundred thousand": lambda: spread(1e5),  # farther than the price of an impossible token
    **{
        f"{name} {where}": lambda fill=fill, columns=columns: masked(fill, *columns)
        for name, fill in (("−inf", -torch.inf), ("lowest", LOWEST), ("−1e9", -1e9))
        for where, columns in {
            "of the student": (slice(5, 9), None),
            "of the teacher": (None, slice(60, 97)),
            "of both": (slice(90, 97), slice(90, 97)),
            "in a first block": (slice(0, BLOCK), slice(0, BLOCK + 3)),
            "in a last block": (slice(64, 97), slice(3 * BLOCK, 97)),
            "but for the last": (slice(0, 96), slice(0, 96)),
        }.items()
    },
}
WEIGHTS = ((0.3, 0.7), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))  # of forward and reverse KL


def log_probabilities(z: Tensor, temperature: float) -> Tensor:
    """The softmax written out in float64; log 0 is LOG_ZERO."""
    u = (z.double() - z.double().max(-1, keepdim=True).values) / temperature
    return (u - u.exp().sum(-1, keepdim=True).log()).clamp_min(LOG_ZERO)


def exact(z_s: Tensor, z_t: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """FKL and RKL of each row, and the gradient of each on the student's logits, in float64."""
    log_q, log_p = log_probabilities(z_s, temperature), log_probabilities(z_t, temperature)
    q, p, gap = log_q.exp(), log_p.exp(), log_q - log_p
    fkl, rkl = -(p * gap).sum(-1), (q * gap).sum(-1)
    return fkl, rkl, (q - p) / temperature, q * (gap - rkl[:, None]) / temperature


def mixed(
    z_s: Tensor, z_t: Tensor, temperature: float, a_C: Tensor, b_C: Tensor
) -> tuple[Tensor, Tensor]:
    """The values [2, C] and the gradient of the kernel."""
    student, teacher = z_s.to(DEVICE).clone(), z_t.to(DEVICE).clone()
    found = fused.weighted(student, teacher, temperature, a_C.to(DEVICE), b_C.to(DEVICE))
    assert torch.equal(teacher.cpu().nan_to_num(), z_t.nan_to_num())  # it is not overwritten
    return found.cpu(), student.cpu()


def close(found: Tensor, expected: Tensor, relative: float = 1e-6) -> None:
    """Equal within a share of the largest value, and of 1."""
    expected = expected.double()
    bound = HARDWARE * relative * max(1.0, float(expected.abs().max())) if expected.numel() else 0.0
    assert torch.isfinite(found).all()
    assert (found.double() - expected).abs().max().item() <= bound


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradient_are_those_of_float64(name: str, temperature: float) -> None:
    z_s, z_t = CASES[name]()
    fkl, rkl, of_fkl, of_rkl = exact(z_s, z_t, temperature)
    each = torch.ones(len(z_s))
    weights = [(a * each, b * each) for a, b in (WEIGHTS if temperature == 2 else WEIGHTS[:1])]
    weights.append(torch.rand(2, len(z_s), generator=torch.Generator().manual_seed(3)).unbind())
    for a_C, b_C in weights:
        (found_fkl, found_rkl), gradient = mixed(z_s, z_t, temperature, a_C, b_C)
        close(found_fkl, fkl)
        close(found_rkl, rkl)
        close(gradient, a_C[:, None] * of_fkl + b_C[:, None] * of_rkl, ROUNDED)


@pytest.mark.parametrize("variance", ["probabilities", "logits"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("name", [name for name in CASES if "lowest" not in name])
def test_signals_are_those_of_the_operators(name: str, temperature: float, variance: Any) -> None:
    z_s, z_t = CASES[name]()
    labels = torch.arange(len(z_s)) % z_s.shape[1]
    head = Head(torch.zeros(1, 1))
    columns = Measurements(len(z_s), head, temperature, variance, None, labels)
    columns.add(z_s.clone(), z_t.clone(), slice(0, len(z_s)))
    given = z_s.to(DEVICE), z_t.to(DEVICE)
    found = fused.measured(*given, temperature, labels.to(DEVICE), variance).cpu()
    assert torch.equal(given[0].cpu(), z_s)
    for field, own, other in zip(columns.names, found, columns.values, strict=True):
        assert torch.equal(own.isfinite(), other.isfinite()), field
        whole = other.isfinite()  # a variance over −inf is none
        close(own[whole], other[whole], ROUNDED)


@pytest.mark.parametrize("name", CASES)
def test_two_gradients_are_those_of_each_divergence(name: str) -> None:
    z_s, z_t = CASES[name]()
    student, teacher = z_s.to(DEVICE).clone(), z_t.to(DEVICE).clone()
    labels = torch.zeros(len(z_s), dtype=torch.int64, device=DEVICE)
    found = fused.measured(student, teacher, 2.0, labels, "probabilities", gradients=True)
    fkl, rkl, of_fkl, of_rkl = exact(z_s, z_t, 2.0)
    for own, expected in ((found[0], fkl), (found[1], rkl), (student, of_fkl), (teacher, of_rkl)):
        close(own.cpu(), expected, ROUNDED)


def test_weights_may_differ_from_row_to_row() -> None:
    z_s, z_t = pair(tokens=9)
    a_C, b_C = torch.linspace(0, 1, 9), torch.linspace(1, 0, 9)
    _, _, of_fkl, of_rkl = exact(z_s, z_t, 2.0)
    gradient = mixed(z_s, z_t, 2.0, a_C, b_C)[1]
    close(gradient, a_C[:, None] * of_fkl + b_C[:, None] * of_rkl, ROUNDED)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_equal_models_have_no_divergence_at_all(shift: float) -> None:
    z = pair()[0] + shift
    z[1, 4:50] = -torch.inf
    half = torch.full((len(z),), 0.5)
    found, gradient = mixed(z, z.clone(), 2.0, half, half)
    assert (found == 0).all()
    assert gradient.abs().max() < 1e-8  # a GPU joins a product with a sum


def test_an_impossible_token_has_the_price_of_log_zero() -> None:
    both, single = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, -torch.inf]])
    ones = torch.ones(1)
    price = torch.tensor(0.5).log().item() - 0.5 * LOG_ZERO
    assert mixed(single, both, 1.0, ones, ones)[0][0].item() == pytest.approx(price, rel=1e-6)
    assert mixed(both, single, 1.0, ones, ones)[0][1].item() == pytest.approx(price, rel=1e-6)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
@pytest.mark.parametrize("column", [3, 96])
@pytest.mark.parametrize("of_teacher", [False, True])
def test_a_broken_logit_breaks_its_row_and_no_other(
    broken: float, column: int, of_teacher: bool
) -> None:
    models = pair()
    models[of_teacher][2, column] = broken
    ones = torch.ones(len(models[0]))
    found, gradient = mixed(*models, 1.0, ones, ones)
    student, teacher = (z.to(DEVICE).clone() for z in models)
    labels = torch.zeros(len(ones), dtype=torch.int64, device=DEVICE)
    signals = fused.measured(student, teacher, 1.0, labels, "probabilities", gradients=True)
    both = (z.cpu().sum(-1) for z in (student, teacher))
    for own in (*found, gradient.sum(-1), *signals[:2].cpu(), *both):
        assert own.isnan().tolist() == [False, False, True, False]


def test_no_rows_have_no_values() -> None:
    found, gradient = mixed(*pair(tokens=0), 1.0, torch.ones(0), torch.ones(0))
    assert found.shape == (2, 0)
    assert gradient.shape == (0, 97)


def test_a_vocabulary_of_152_064_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # blocks of the size that runs use
    z_s, z_t = pair(2, 152_064)
    a_C, b_C = torch.tensor([0.3, 1.0]), torch.tensor([0.7, 0.0])
    (fkl, rkl), gradient = mixed(z_s, z_t, 2.0, a_C, b_C)
    expected = exact(z_s, z_t, 2.0)
    close(fkl, expected[0])
    close(rkl, expected[1])
    oracle = a_C[:, None] * expected[2] + b_C[:, None] * expected[3]
    assert (gradient - oracle).abs().max() <= 1e-5 * oracle.abs().max()


def test_the_check_of_a_device_passes_here_and_sees_a_wrong_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fused.largest_difference(DEVICE) < 1e-6 * HARDWARE
    right = fused.weighted
    monkeypatch.setattr(fused, "weighted", lambda s, t, T, a_C, b_C: right(s, t, T, b_C, a_C))
    assert fused.largest_difference(DEVICE) > fused.TOLERANCE


def there(states: Tensor, head: Head, teacher: Teacher) -> tuple[Tensor, Head, Teacher]:
    """The same values on the device of the tests."""
    of_teacher = Teacher(teacher.hidden_NG.to(DEVICE), teacher.head.to(DEVICE))
    leaf = states.detach().to(DEVICE).requires_grad_()
    weight = head.weight_VH.detach().to(DEVICE).requires_grad_()
    return leaf, Head(weight, None, head.scale, head.soft_cap), of_teacher


class TestLosses:
    """The losses of `arkd.divergence.losses` by the kernel, against dense formulas."""

    @pytest.fixture(autouse=True)
    def by_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the kernel serve, on a CPU too, and the work be cut into chunks and blocks."""
        monkeypatch.setattr(fused, "serves", lambda student_CV, teacher_CV: True)
        monkeypatch.setattr(sweeps, "CHUNK_BYTES", 4 * V * 3)
        monkeypatch.setattr(sweeps, "ACCELERATOR_CHUNK_BYTES", 4 * V * 3)
        monkeypatch.setattr(sweeps, "BLOCK_BYTES", 4 * V * 2)
        monkeypatch.setattr(fused, "BLOCK", 16)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("temperature", [1.0, 2.0])
    @pytest.mark.parametrize("hidden", [H, G + 2])
    @pytest.mark.parametrize("cap", [None, 3.0])
    def test_value_and_gradient(
        self, form: str, temperature: float, hidden: int, cap: float | None
    ) -> None:
        states, head, teacher = there(*values(hidden=hidden, soft_cap=cap))
        given = teacher, 0.3, 0.7, temperature
        found = gradients(lambda x, w: loss_of(form, x, w, *given), states, head)
        expected = gradients(lambda x, w: dense(x, w, *given), states, head)
        for own, oracle in zip(found, expected, strict=True):
            assert torch.allclose(own, oracle, atol=1e-5)

    @pytest.mark.parametrize("batch", [False, True])
    def test_signals(self, batch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        given = there(*values(2))
        found = late(*given, 2.0, batch).signals
        monkeypatch.setattr(fused, "serves", lambda student_CV, teacher_CV: False)
        expected = late(*given, 2.0, batch).signals
        for name, value in vars(expected).items():
            own = getattr(found, name)
            assert value is own is None or torch.allclose(value, own, atol=1e-6), name


# Every variant of the kernel that runs ask for, compiled for cards of two generations.
COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from arkd.divergence import fused
from arkd.divergence.triton_rows import divergence_rows

types = dict.fromkeys(("student_CV", "teacher_CV", "a_C", "b_C", "values_KC"), "*fp32")
types |= {"labels_C": "*i64", "rows": "i32", "vocabulary": "i32", "inverse": "fp32"}
for softened, signals, of_logits, gradients in VARIANTS:
    constants = {"LOG_ZERO": fused.LOG_ZERO, "SOFTENED": softened, "SIGNALS": signals}
    constants |= {"OF_LOGITS": of_logits, "GRADIENTS": gradients, "BLOCK": fused.BLOCK}
    signature = types | dict.fromkeys(constants, "constexpr")
    source = ASTSource(divergence_rows, signature, constants)
    made = compile(source, GPUTarget("cuda", TARGET, 32), {"num_warps": fused.WARPS})
    assert made.asm["cubin"]
"""
VARIANTS = [
    *((softened, False, False, 1) for softened in (False, True)),
    *((s, True, of_logits, g) for s, of_logits, g in product((False, True), (False, True), (0, 2))),
]


@pytest.mark.parametrize("target", [80, 90])
def test_the_kernel_compiles_for_a_gpu(target: int, tmp_path: Path) -> None:
    """Triton brings NVIDIA's assembler, so no card is needed; the interpreter allows more."""
    code = COMPILE.replace("VARIANTS", repr(VARIANTS)).replace("TARGET", str(target))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": path}
    environment.pop("TRITON_INTERPRET", None)
    script = tmp_path / "compile_all.py"
    script.write_text(code)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.parametrize("hidden", [64, 128])  # a student narrower and wider than its teacher
@pytest.mark.parametrize("form", FORMS)
def test_a_gpu_takes_the_kernel_and_gets_what_the_operators_give(
    form: str, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(kernels, "_chosen", ["fast"])
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).cuda()

    tokens, vocabulary = 2000, 50257  # more than one chunk
    states, weight = drawn(tokens, hidden), 0.3 * drawn(vocabulary, hidden)
    teacher = Teacher(drawn(tokens, 96), Head(0.3 * drawn(vocabulary, 96)))
    assert fused.serves(drawn(2, 9), drawn(2, 9))

    def result() -> list[Tensor]:
        return gradients(
            lambda x, w: loss_of(form, x, w, teacher, 0.3, 0.7, 2.0), states, Head(weight)
        )

    found = result()
    with fused.switched_off():
        expected = result()
    for own, other in zip(found, expected, strict=True):
        assert (own - other).abs().max() <= 1e-4 * other.abs().max()


@pytest.mark.gpu
def test_a_gpu_that_is_to_be_portable_runs_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", ["portable"])
    assert not fused.serves(torch.ones(2, 9).cuda(), torch.ones(2, 9).cuda())
