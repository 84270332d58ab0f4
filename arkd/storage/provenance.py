"""What numbers depend on beside their inputs: the code's hash, versions, commit and machine."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from arkd import kernels

PACKAGES = ("arkd", "torch", "transformers", "tokenizers", "lm-eval", "rouge-score", "numpy")
ON_GPUS = ("accelerate", "peft", "triton")  # noted beside CUDA, where PyTorch is built for it
# The code whose change can change a number, by folder; tables, figures and the report only show
# numbers. A model does not depend on how it is measured: a new metric needs no new training.
TRAINING_CORE = (
    *("kernels.py", "method.py", "objectives.py", "ranks.py", "rouge.py", "seeding.py"),
    *("storage/records.py", "data/**/*.py", "suite/registry.py", "suite/rows.py"),
    *(
        "suite/protocol.py",
        "suite/settings.py",
        "suite/suite.py",
        "suite/tuned.py",
        "suite/load.py",
    ),
    *("methods/_policy.py", "divergence/*.py", "sizes/*.py"),
    *("models/*.py", "teacher/*.py", "training/*.py"),
    *("stages/stage.py", "stages/prepare.py", "stages/build_models.py", "stages/cache.py"),
    "stages/distill.py",
)
CORE = (
    *TRAINING_CORE,
    *("tasks.py", "metrics/*.py", "evaluation/*.py", "stages/evaluate.py"),
)
CODE = ("arkd", "baselines")  # folders of the repository
TRAINING_STAGES = ("data", "tokens", "teacher", "init", "cache", "distill")


@cache
def core_hash(stage: str = "evaluate") -> str:
    """Return a hash of the code on which the numbers of a stage depend: of a training, or all."""
    root = Path(__file__).parent.parent
    total = hashlib.sha256()
    core = TRAINING_CORE if stage in TRAINING_STAGES else CORE
    for path in sorted({path for pattern in core for path in root.glob(pattern)}):
        total.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return total.hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    cuda = cuda_version()
    if cuda:
        found["cuda"] = cuda
    for package in (*PACKAGES, *(ON_GPUS if cuda else ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def libraries(found: Mapping[str, str]) -> dict[str, str]:
    """Return the versions by which results may not differ: all but that of arkd itself.

    Which code of arkd made a number is said by the hash of its core, which a release that changes
    no number leaves as it is.
    """
    return {name: text for name, text in found.items() if name != "arkd"}


def cuda_version() -> str | None:
    """Return the CUDA that PyTorch is built for, read from its files: torch need not be loaded."""
    torch = find_spec("torch")
    file = Path(torch.origin).with_name("version.py") if torch and torch.origin else None
    if file is None or not file.is_file():
        return None
    found = re.search(r"^cuda\b[^=]*=\s*'([\d.]+)'", file.read_text(encoding="utf-8"), re.M)
    return found[1] if found else None


def gpus() -> list[dict[str, Any]]:
    """Return name and memory of each GPU that this process has used, and the driver's version."""
    torch = sys.modules.get("torch")
    if not torch or not torch.cuda.is_initialized():
        return []
    return [
        {"name": gpu.name, "mib": gpu.total_memory // 2**20, "driver": _driver()}
        for gpu in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    ]


def _driver() -> str | None:
    """Return the version of NVIDIA's driver, by the kernel's own file."""
    file = Path("/proc/driver/nvidia/version")
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", file.read_text()) if file.is_file() else None
    return found[0] if found else None


@cache
def git_state() -> dict[str, Any]:
    """Return the commit of the code and whether the work tree differs from it; none if installed.

    A method's file that no commit has is a difference, too; a kept result that is written anew is
    none. An environment may lie within some repository, of which the installed code is no part.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit, changed, new = (
            subprocess.run(
                ["git", *command], cwd=root, capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "-uno", "--", ".", ":(exclude)results"),
                ("ls-files", "--others", "--exclude-standard", *CODE),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(changed or new)}


def host() -> dict[str, Any]:
    """Return what the machine is and how many threads this process may use."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else kernels.threads()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        **({"gpus": found} if (found := gpus()) else {}),
    }


def cores() -> int:
    """Return how many cores this process may use, of those that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
