"""Too little memory is one line that names the stage and what to lower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from arkd.cli import memory
from arkd.cli.main import main
from arkd.errors import out_of_memory
from arkd.method import Method
from arkd.stages import cache, distill
from arkd.suite.settings import Decoding, Training
from arkd.training.method_errors import named

MORE_THAN_ANY = 2**46  # numbers: what no machine has
ON_A_GPU = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 1 GiB."


def on_a_gpu() -> None:
    raise torch.OutOfMemoryError(ON_A_GPU)


def in_a_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize(
    ("ask", "what", "said"),
    [
        (lambda: torch.empty(MORE_THAN_ANY), "the machine", "tried to allocate"),
        (lambda: np.empty(MORE_THAN_ANY), "the machine", "Unable to allocate"),
        (on_a_gpu, "the GPU", "Tried to allocate 2.00 GiB"),
        (in_a_library, "the GPU", "CUBLAS_STATUS_ALLOC_FAILED"),
    ],
    ids=["torch", "numpy", "GPU", "cuBLAS"],
)
def test_a_stage_without_memory_ends_in_one_line(
    ask: Callable[[], object],
    what: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(distill, "distill", lambda *_: ask())
    stage = ["distill", "--suite", "smoke", "--results", str(tmp_path), "--pair", "fixture"]
    assert main([*stage, "--method", "arkd", "--seed", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"arkd: error: distill: {what} has too little memory (")
    for part in (said, "training.micro_batch", "checkpoint_layers: true", "decoding.batch_size"):
        assert part in error


def test_sampling_without_memory_names_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cache, "cache", lambda *_: on_a_gpu())
    stage = ["cache", "--suite", "smoke", "--results", str(tmp_path), "--pair", "fixture"]
    assert main([*stage, "--source", "teacher"]) == 2
    error = capsys.readouterr().err
    assert "cache: the GPU has too little memory" in error
    assert "lower decoding.batch_size" in error
    assert "training." not in error


def test_every_setting_that_is_named_is_one_of_suites() -> None:
    text = " ".join(memory.REMEDIES.values())
    assert "training.micro_batch" in text
    assert {"micro_batch", "checkpoint_layers"} <= Training.model_fields.keys()
    assert "batch_size" in Decoding.model_fields


def test_other_errors_keep_their_trace() -> None:
    assert out_of_memory(RuntimeError("CUDA error: device-side assert triggered")) is None
    assert out_of_memory(ValueError("out of memory")) is None


def test_a_method_is_not_blamed_for_it() -> None:
    """Though its own file is on the way, by which other errors are told apart."""

    class Greedy(Method):
        def ask(self) -> None:
            torch.empty(MORE_THAN_ANY)

    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), named(Greedy(), "greedy"):
        Greedy().ask()
