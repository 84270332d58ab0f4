"""Resident memory of one run, and what a loss keeps between its two passes."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from arkd.perf.contenders import CONTENDERS
from arkd.perf.inputs import Inputs, Loss, Shape, gradients

PROC = Path("/proc/self")
INSTALL = "pip install --no-deps trl==1.16.0 liger-kernel==0.8.5, as `make perf` does"
SPARE = 0.9  # share of the free memory that a run may take
WARM_UP = Shape(8, 16, 16, 64)  # starts threads and libraries, whose memory is no run's


def peak_mib(run: Callable[[], Any]) -> float | None:
    """Return by how much a run raises the resident memory at its highest, in MiB.

    The kernel keeps the highest value itself, so that no peak is missed. None where there is no
    /proc, or it cannot be reset.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # freed memory that is still resident would hide a peak
        (PROC / "clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    before_kib = _status()["VmRSS"]
    run()
    return (_status()["VmHWM"] - before_kib) / 2**10


def _status() -> dict[str, int]:
    """The sizes that the kernel tells of this process, in KiB."""
    lines = (PROC / "status").read_text(encoding="utf-8").splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith(" kB")}


def free_mib() -> float | None:
    """Return the memory that is free on this machine, in MiB; none where nothing tells it."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    found = dict(line.split(":", 1) for line in info.read_text(encoding="utf-8").splitlines())
    return int(found["MemAvailable"].split()[0]) / 2**10


def contender_peak_mib(name: str, shape: Shape, threads: int) -> tuple[float | None, str]:
    """Return a contender's peak in MiB, measured in a process of its own, and why it cannot run.

    The reason is empty if it can; the peak is none, too, where the system tells no memory.
    """
    # One process a measurement: what an allocator keeps of an earlier one would falsify it.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, name, shape, threads).result(), ""
        except BrokenProcessPool:
            return None, "needs more memory than is free"
        except ImportError as error:
            return None, f"{error}: {INSTALL}"
        except RuntimeError as error:
            if "allocate" not in str(error):
                raise
            return None, "needs more memory than is free"


def _measure(name: str, shape: Shape, threads: int) -> float | None:
    import torch

    torch.set_num_threads(threads)
    _limit_memory()
    loss = next(contender.loss for contender in CONTENDERS if contender.name == name)
    gradients(loss, Inputs.of(WARM_UP))
    inputs = Inputs.of(shape)
    return peak_mib(lambda: gradients(loss, inputs))


def _limit_memory() -> None:
    """Let an allocation that does not fit fail here, before the system kills some process."""
    import resource

    free = free_mib()
    if free is not None:
        limit = _status()["VmSize"] * 2**10 + int(SPARE * free * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def retained_mib(loss: Loss, inputs: Inputs) -> float:
    """Return what a loss keeps for its backward pass, in MiB.

    Its inputs are left out, and gradients of the head's own shape: they are wanted anyway.
    """
    import torch
    from torch.autograd.graph import saved_tensors_hooks

    given = {x.untyped_storage().data_ptr() for x in vars(inputs).values()}
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in given and x.shape != inputs.weight_VH.shape:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with saved_tensors_hooks(note, lambda x: x):
        value = loss(inputs)  # alive, so that no storage is freed and its address used again
    del value
    return sum(kept.values()) / 2**20
