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


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_processes_train_as_one_does(kind: str, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), kind, str(rank), str(tmp_path)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(parallel_worker.WORLD)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    for name in parallel_worker.METHODS:
        step = parallel_worker.new_step(name)
        alone = parallel_worker.train(step, step, 0, 1)
        together = load_file(tmp_path / f"{name}.safetensors")
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            assert torch.allclose(together[key], value, rtol=1e-4, atol=1e-6), (name, key)
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
