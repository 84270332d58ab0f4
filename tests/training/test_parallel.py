"""Data-parallel and sharded training by two real processes equals that of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import parallel_worker
import pytest
import torch
from conftest import PATIENCE_S
from safetensors.torch import load_file

WORKER = Path(parallel_worker.__file__)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes that train together left, a folder a kind; they start once for both."""
    folder = tmp_path_factory.mktemp("together")
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(parallel_worker.WORLD)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    return folder


@pytest.mark.parametrize("kind", parallel_worker.KINDS)
def test_two_processes_train_as_one_does(kind: str, together: Path) -> None:
    for name in parallel_worker.METHODS:
        step = parallel_worker.new_step(name)
        alone = parallel_worker.train(step, step, 0, 1)
        found = load_file(together / kind / f"{name}.safetensors")
        assert found.keys() == alone.keys()
        for key, value in alone.items():
            assert torch.allclose(found[key], value, rtol=1e-4, atol=1e-6), (name, key)
            assert "grad" not in key or value.abs().max() > 0


def test_the_halves_of_a_batch_are_not_alike() -> None:
    """Were each process given the same samples, the test above would show nothing."""
    step = parallel_worker.new_step("early")
    halves = []
    for rank in range(2):
        step.zero_grad()
        loss, _ = step(0, parallel_worker.STEPS[0][2 * rank : 2 * rank + 2])
        loss.backward()
        halves.append(torch.cat([p.grad.flatten() for p in step.model.parameters()]))
    assert (halves[0] - halves[1]).norm() > 0.1 * halves[0].norm()
