"""The same bytes on every x86-64 processor: stages against committed hashes, here and emulated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from portable_stages import GOLDEN

from arkd import kernels
from arkd.errors import ArkdError
from arkd.models import portable_ops
from arkd.storage import provenance

SCRIPT = Path(__file__).parent / "portable_stages.py"
# What a user may have exported; none of it may reach a portable run.
HOSTILE = {
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "MKL_CBWR": "AVX512",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
    "OPENBLAS_CORETYPE": "SkylakeX",
    "OPENBLAS_NUM_THREADS": "2",
    "NPY_DISABLE_CPU_FEATURES": "",
}
needs_x86 = pytest.mark.skipif(
    not kernels.x86(),
    reason="the committed hashes are of x86-64: run this on such a processor",
)
EMULATOR = shutil.which("qemu-x86_64")


def run(*emulator: str) -> dict[str, dict[str, str]]:
    """Return the hashes of operators and stages, computed by a process of their own."""
    command = [*emulator, sys.executable, str(SCRIPT)]
    done = subprocess.run(
        command, env=os.environ | HOSTILE, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def compare(found: dict[str, dict[str, str]]) -> None:
    """Compare with the committed hashes; say which library and which stage part ways first."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    versions = {
        key: value for key, value in provenance.versions().items() if key in golden["made by"]
    }
    assert versions == golden["made by"], (
        "hashes hold for these versions: install requirements.lock"
    )
    operators, stages = (
        [name for name, sha in golden[kind].items() if found[kind].get(name) != sha]
        for kind in ("operators", "stages")
    )
    assert not operators, f"this processor rounds otherwise in {'; '.join(operators)}"
    assert not stages, (
        f"the same operators, and another result from stage '{stages[0]}' on: if the code of a "
        "stage was changed on purpose: python tests/portable_stages.py --write"
    )


@needs_x86
def test_stages_on_this_processor_give_the_committed_bytes() -> None:
    compare(run())


@pytest.mark.heavy
@needs_x86
@pytest.mark.skipif(EMULATOR is None, reason="no qemu-x86_64: apt-get install qemu-user")
@pytest.mark.parametrize("processor", ["EPYC", "Haswell"])
def test_stages_on_other_processors_give_the_committed_bytes(processor: str) -> None:
    assert EMULATOR
    compare(run(EMULATOR, "-cpu", processor))


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a product in float64."""
    return a.astype("d") @ b.astype("d")


def test_products_are_those_of_float64_rounded() -> None:
    draws = np.random.default_rng(5)
    a, b, c = (draws.standard_normal(s).astype("f") for s in ((33, 70), (70, 20), (33, 20)))
    A, B, C = map(torch.from_numpy, (a, b, c))
    near = {"rtol": 1e-5, "atol": 1e-4}
    np.testing.assert_allclose((A @ B).numpy(), exact(a, b), **near)
    np.testing.assert_allclose((B.T @ A.T).numpy(), exact(a, b).T, **near)
    np.testing.assert_allclose(
        torch.addmm(C, A, B, beta=0.5, alpha=-2).numpy(), 0.5 * c - 2 * exact(a, b), **near
    )
    np.testing.assert_allclose(C.clone().addmm_(A, B, alpha=3).numpy(), c + 3 * exact(a, b), **near)
    nan = torch.full_like(C, torch.nan)
    assert torch.addmm(nan, A, B, beta=0).isfinite().all()
    strided = torch.empty(20, 33).T  # a result that is no piece in memory
    torch.mm(A, B, out=strided)
    np.testing.assert_allclose(strided.numpy(), exact(a, b), **near)
    many = torch.bmm(A.expand(4, -1, -1), B.expand(4, -1, -1))
    np.testing.assert_allclose(many[3].numpy(), exact(a, b), **near)
    half = A.bfloat16() @ B.bfloat16()
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.float().numpy(), exact(a, b), rtol=0.02, atol=0.1)
    assert (torch.arange(6).view(2, 3) @ torch.arange(6).view(3, 2)).tolist() == [
        [10, 13],
        [28, 40],
    ]
    assert torch.empty(0, 5).mm(torch.empty(5, 3)).shape == (0, 3)
    assert torch.empty(2, 0).mm(torch.empty(0, 3)).tolist() == [[0.0] * 3] * 2


def test_products_have_the_gradients_of_torch() -> None:
    a, b, c = (
        torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 5), (5, 3), (3,))
    )
    assert torch.autograd.gradcheck(torch.matmul, (a, b))
    assert torch.autograd.gradcheck(
        lambda *x: torch.nn.functional.linear(x[0], x[1].T, x[2]), (a, b, c)
    )
    positive = torch.rand(6, dtype=torch.float64).add(0.5).requires_grad_()
    for function in (torch.exp, torch.log, torch.sqrt, torch.log2, torch.log10):
        assert torch.autograd.gradcheck(function, (positive,))


def test_roots_are_exact_and_exponentials_within_four_units() -> None:
    x = np.random.default_rng(6).lognormal(0, 4, 100_000).astype("f")
    X = torch.from_numpy(x)
    assert (X.sqrt().numpy() == np.sqrt(x.astype("d")).astype("f")).all()
    for found, right in (
        (X.log(), np.log(x.astype("d"))),
        (X.log().exp(), np.exp(X.log().numpy().astype("d"))),
    ):
        assert (abs(found.numpy() - right) <= 4 * np.spacing(abs(right.astype("f")))).all()
    ends = torch.tensor([0.0, -1.0, torch.inf, torch.nan, -torch.inf, 200.0])
    assert ends.log()[[0, 2]].tolist() == [-torch.inf, torch.inf]
    assert ends.log()[[1, 3]].isnan().all()
    assert ends.exp()[[2, 4, 5]].tolist() == [torch.inf, 0.0, torch.inf]
    assert torch.tensor([0, 4]).sqrt().tolist() == [0.0, 2.0]  # whole numbers become floats
    own = X.clone()
    assert own.sqrt_() is own
    assert (own == X.sqrt()).all()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of Python in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(kernels.FAMILIES)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_choice_that_comes_too_late_is_refused_in_one_line() -> None:
    done = python(
        "import numpy\nfrom arkd import kernels\nfrom arkd.errors import ArkdError\n"
        "try: kernels.choose('portable')\nexcept ArkdError as error: print(error)"
    )
    assert "has loaded numpy before its kernels were chosen" in done.stdout
    assert done.stdout.count("\n") == 1
    with pytest.raises(ArkdError, match="has loaded numpy with portable kernels"):
        kernels.choose("fast")
    kernels.choose("portable")  # the same again is nothing


def test_fast_keeps_what_the_user_exported_and_not_what_a_portable_parent_did() -> None:
    show = "import os; from arkd import kernels; kernels.choose('fast'); print(kernels.facts())"
    own = python(show, OMP_NUM_THREADS="3", OPENBLAS_CORETYPE="SkylakeX").stdout
    assert "'OMP_NUM_THREADS': '3'" in own
    assert "'OPENBLAS_CORETYPE': 'SkylakeX'" in own
    inherited = python(show, **kernels.PORTABLE).stdout
    assert "Haswell" not in inherited
    assert "'OMP_NUM_THREADS': '1'" in inherited


@needs_x86
def test_another_blas_than_openblas_is_refused() -> None:
    mkl = [{"user_api": "blas", "internal_api": "mkl", "filepath": "/conda/numpy/libmkl_rt.so"}]
    with pytest.raises(ArkdError, match="OpenBLAS with its AVX2 kernels, found mkl; install"):
        portable_ops.check_blas(mkl)
    slow = [{**mkl[0], "internal_api": "openblas", "architecture": "Prescott"}]
    with pytest.raises(ArkdError, match="found openblas Prescott"):
        portable_ops.check_blas(slow)


def test_memory_of_a_factor_that_was_left_resizable_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As that of a sharded model's weights is, once a block has run."""
    monkeypatch.setattr(portable_ops, "_view", [torch.Tensor.numpy])
    weight, states = torch.rand(8, 8), torch.rand(3, 8)
    expected = portable_ops._product(states, weight.T.clone())
    portable_ops.leave_resizable()
    assert torch.equal(portable_ops._product(states, weight.T), expected)
    weight.untyped_storage().resize_(0)
    pinned = torch.rand(8, 8)
    pinned.numpy()
    with pytest.raises(RuntimeError, match="not resizable"):
        pinned.untyped_storage().resize_(0)


# As Linux writes them, cut: a Nehalem, one of AMD's with AVX2 alone, and a Haswell.
FLAGS = {
    "fpu sse sse2 ssse3 cx16 sse4_1 sse4_2 popcnt": "AVX2 and FMA",
    "fpu sse sse2 ssse3 sse4_2 avx f16c fma4 avx2": "FMA",
    "fpu sse sse2 ssse3 fma sse4_2 avx f16c": "AVX2",
    "fpu sse sse2 ssse3 fma sse4_2 avx f16c avx2 bmi2": "",
}


@needs_x86
@pytest.mark.parametrize(("flags", "lacking"), FLAGS.items(), ids=lambda text: text or "none")
def test_a_processor_without_the_shared_instructions_is_refused(
    flags: str, lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel\t\t: 26\nflags\t\t: {flags}\n", encoding="utf-8")
    monkeypatch.setattr(kernels, "Path", {"/proc/cpuinfo": info}.__getitem__)
    if lacking:
        said = f"this one lacks {lacking}; set `kernels: fast` in the suite"
        with pytest.raises(ArkdError, match=f"a processor with AVX2 and FMA, and {said}"):
            kernels.check_processor()
    else:
        kernels.check_processor()
    monkeypatch.setattr(kernels, "_chosen", ["fast"])
    kernels.check_processor()  # what runs its own fastest kernels needs none of them


@needs_x86
def test_a_system_that_does_not_tell_its_processor_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "Path", {"/proc/cpuinfo": tmp_path / "none"}.__getitem__)
    kernels.check_processor()
