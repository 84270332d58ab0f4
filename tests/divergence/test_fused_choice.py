"""Where Triton's kernel is taken, and what is said where it cannot run; neither needs Triton."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arkd import kernels
from arkd.divergence import fused
from arkd.divergence.head import Head
from arkd.divergence.signals import Measurements
from arkd.errors import ArkdError


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Triton, fast kernels, and a device that passes the check."""
    monkeypatch.setattr(fused, "installed", lambda: True)
    monkeypatch.setattr(kernels, "_chosen", ["fast"])
    monkeypatch.setattr(fused, "_check", lambda device: None)


def block(**changed: Any) -> Any:
    """What is asked of a block of logits on a GPU."""
    usual = {"is_cuda": True, "dtype": torch.float32, "is_contiguous": lambda: True}
    return SimpleNamespace(device="cuda:0", **usual | changed)


def test_float32_blocks_on_a_gpu_take_the_kernel() -> None:
    assert fused.serves(block(), block())


@pytest.mark.parametrize(
    "changed",
    [{"is_cuda": False}, {"dtype": torch.float64}, {"is_contiguous": lambda: False}],
    ids=["cpu", "float64", "strided"],
)
def test_other_blocks_take_the_operators(changed: dict[str, Any]) -> None:
    assert not fused.serves(block(**changed), block())


def test_a_teacher_in_float64_takes_the_operators() -> None:
    assert not fused.serves(block(), block(dtype=torch.float64))


def test_a_cpu_takes_the_operators_whatever_is_installed_and_chosen() -> None:
    assert not fused.serves(torch.zeros(2, 5), torch.zeros(2, 5))


def test_portable_kernels_are_operators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_chosen", ["portable"])
    assert not fused.serves(block(), block())


def test_without_triton_the_operators_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "installed", lambda: False)
    assert not fused.serves(block(), block())


def test_what_is_switched_off_is_on_again_afterwards() -> None:
    with fused.switched_off():
        assert not fused.serves(block(), block())
    assert fused.serves(block(), block())


@pytest.mark.parametrize(("head_mass", "taken"), [(None, True), (0.5, False)])
def test_gaps_need_the_order_of_a_vocabulary_and_take_the_operators(
    monkeypatch: pytest.MonkeyPatch, head_mass: float | None, taken: bool
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(fused, "serves", lambda student_CV, teacher_CV: True)
    monkeypatch.setattr(fused, "measured", lambda *given: calls.append(given) or torch.zeros(7, 2))
    labels = torch.zeros(2, dtype=torch.int64)
    columns = Measurements(2, Head(torch.ones(5, 1)), 1.0, "probabilities", head_mass, labels)
    columns.add(torch.zeros(2, 5), torch.zeros(2, 5), slice(0, 2))
    assert bool(calls) == taken


def test_a_gpu_that_cannot_compile_it_is_told_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(device: Any) -> float:
        raise RuntimeError("Failed to find C compiler.\nSet CC.")

    monkeypatch.undo()
    monkeypatch.setattr(fused, "largest_difference", failing)
    with pytest.raises(ArkdError, match=r"RuntimeError: Failed to find C compiler.*portable"):
        fused._check.__wrapped__("cuda:0")


@pytest.mark.parametrize("off", [1e-3, float("nan")])
def test_a_gpu_on_which_it_is_wrong_is_refused(off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(fused, "largest_difference", lambda device: off)
    with pytest.raises(ArkdError, match=r"differ by .* from the formulas"):
        fused._check.__wrapped__("cuda:0")


def test_a_gpu_on_which_it_is_right_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    calls = []
    monkeypatch.setattr(fused, "largest_difference", lambda device: calls.append(device) or 1e-6)
    fused._check("cuda:7")
    fused._check("cuda:7")
    assert calls == ["cuda:7"]
    fused._check.cache_clear()
