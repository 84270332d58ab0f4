"""Which machine code the numerical libraries run: the same on every processor, or the fastest.

MKL, ATen, oneDNN, OpenBLAS and numpy choose by the processor, once, when they are loaded. So the
choice is made in the environment before any of them is, and again in every process that is started.
What each choice promises, and what was measured of it: docs/portability.md.

This module imports neither numpy nor torch; `portable_ops` holds the operators that need them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Literal

from arkd.errors import ArkdError

Kernels = Literal["portable", "fast"]

# What a user may have exported for these libraries; none of it may reach a portable run.
FAMILIES = (
    *("ATEN_", "DNNL_", "GOMP_", "GOTO_", "KMP_", "MKL_", "NPY_", "OMP_", "ONEDNN_", "OPENBLAS_"),
)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
PORTABLE = {
    # MKL's one branch that does not ask whose processor it is. It is slow, and its square root is
    # off by a unit that differs between makers: `portable_ops` takes over what trainings need.
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # OpenBLAS's kernels for AVX2, with block sizes that no cache size changes.
    "OPENBLAS_CORETYPE": "Haswell",
    # numpy's loops for AVX-512 round otherwise; by the names of numpy from 2.4 on, and before.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR "
    "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL",
    **ONE_THREAD,
}
MOST_THREADS = 4096
LIBRARIES = ("numpy", "torch")  # what the environment is read by when it is loaded

_chosen: list[Kernels] = []  # of this process; the last counts


def choose(kernels: Kernels) -> None:
    """Set the environment for the libraries that this process, or a child of it, is yet to load.

    Args:
        kernels: `portable` overrides whatever was exported; `fast` leaves it, except that a process
            has one thread unless `OMP_NUM_THREADS` says otherwise, and MKL repeats its own results.

    Raises:
        ArkdError: a library was loaded with another choice, or before there was one, or fast
            kernels are given no number of threads.
    """
    if chosen() == kernels:
        return
    loaded = [name for name in LIBRARIES if name in sys.modules]
    if loaded:
        before = f"with {chosen()} kernels" if _chosen else "before its kernels were chosen"
        raise ArkdError(
            f"kernels: {kernels} is asked for, and this process has loaded {loaded[0]} {before}; "
            f"call arkd.kernels.choose('{kernels}') before the first import of numpy and torch, or "
            "run the stage by the command `arkd`"
        )
    if kernels == "portable":
        for name in [name for name in os.environ if name.startswith(FAMILIES)]:
            del os.environ[name]
        os.environ.update(PORTABLE)
    else:
        for name, value in PORTABLE.items():
            if os.environ.get(name) == value:  # of a parent process that chose to be portable
                del os.environ[name]
        os.environ["OMP_NUM_THREADS"] = str(threads())
        os.environ.setdefault("MKL_CBWR", "AUTO")
    _chosen.append(kernels)


def threads() -> int:
    """Return how many threads a process has: one, unless the user says otherwise.

    Raises:
        ArkdError: OMP_NUM_THREADS is no number of threads.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").strip() or "1"
    if not (given.isascii() and given.isdecimal() and 0 < int(given[:6]) <= MOST_THREADS):
        raise ArkdError(
            f"OMP_NUM_THREADS: must be a whole number from 1 to {MOST_THREADS}, found {given:.40}"
        )
    return int(given)


def chosen() -> Kernels | None:
    """Return what this process runs; None where nothing was chosen."""
    return _chosen[-1] if _chosen else None


def check_processor() -> None:
    """Refuse to compute portably where the processor has not the instructions that all share.

    Raises:
        ArkdError: it lacks AVX2 or FMA.
    """
    if chosen() == "portable" and (lacking := _lacking()):
        raise ArkdError(
            f"kernels: portable needs a processor with AVX2 and FMA, and this one lacks "
            f"{' and '.join(lacking)}; set `kernels: fast` in the suite: its results then agree "
            "with others' only within rounding"
        )


def x86() -> bool:
    """Tell whether the processor is of the architecture for which kernels can be portable."""
    return os.uname().machine.lower() in ("x86_64", "amd64")


def facts() -> dict[str, Any]:
    """Return what a manifest says of the kernels: the choice, and the environment that makes it."""
    environment = {k: v for k, v in sorted(os.environ.items()) if k.startswith(FAMILIES)}
    return {"chosen": chosen(), "environment": environment}


def _lacking() -> list[str]:
    """Return what a portable run needs and this processor lacks; empty on other architectures."""
    info = Path("/proc/cpuinfo")
    if not x86() or not info.is_file():
        return []
    for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            has = line.partition(":")[2].split()
            return [name.upper() for name in ("avx2", "fma") if name not in has]
    return []
