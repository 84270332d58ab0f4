"""GPUs of the machine: which there are, without torch, and one for each process that computes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.locks import try_lock

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Where batch systems say what a job was given, of a machine whose other GPUs it may see as well.
SCHEDULERS = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "PBS_GPUFILE")
DRIVER = Path("/proc/driver/nvidia/gpus")
UUID = re.compile(r"\b(?:GPU|MIG)-[0-9A-Za-z/-]+")
POLL_S = 1.0
COMMAND_S = 60  # a driver that sleeps takes seconds to wake

_taken: dict[str, int] = {}  # open locks by GPU, until the process ends


def visible() -> list[str]:
    """Return the GPUs that this process may use, each by a name that CUDA_VISIBLE_DEVICES takes.

    Those that CUDA_VISIBLE_DEVICES lists; without it those that the driver does, by UUID, since
    CUDA and the driver may number them differently. A GPU that is cut up (MIG) counts by its parts.
    """
    listed = os.environ.get(VISIBLE)
    if listed is None:
        return _of_driver()
    names = [name.strip() for name in listed.split(",")]
    # As CUDA does: what stands behind an empty or negative one is not seen.
    end = next((i for i, name in enumerate(names) if not name or name.startswith("-")), len(names))
    return names[:end]


def take(number: int = 1) -> str | None:
    """Take GPUs that no other process of this project has, and hide all others from CUDA.

    They are held until this process ends, however it ends; if too few are free, none is held and
    the call waits. Nothing is done where there is nothing to choose: no GPU, as many as
    CUDA_VISIBLE_DEVICES names, or those of a batch system that does not say by CUDA_VISIBLE_DEVICES
    which they are.

    Returns:
        Their names, as CUDA_VISIBLE_DEVICES has them, or none if nothing was done.

    Raises:
        ArkdError: the file of a lock cannot be opened, or there are fewer GPUs than are asked for.
    """
    if _taken:
        return ",".join(_taken)
    if VISIBLE not in os.environ and any(os.environ.get(name) for name in SCHEDULERS):
        return None
    found = visible()
    if found and len(found) < number:
        raise ArkdError(
            f"training.devices: {number} GPUs are asked for, and {len(found)} visible; lower it"
        )
    if VISIBLE in os.environ and len(found) == number:
        return None
    locks = _locks(found)
    said = False
    while found:
        for name, path in locks.items():
            if _lock(name, path) and len(_taken) == number:
                os.environ[VISIBLE] = ",".join(_taken)
                return os.environ[VISIBLE]
        while _taken:  # others may wait for these, and this one for theirs
            os.close(_taken.popitem()[1])
        if not said:
            what = f"a free GPU: other processes have all {len(found)}"
            if number > 1:
                what = f"{number} free GPUs: other processes have too many of {len(found)}"
            print(
                f"arkd: waiting for {what}; with {VISIBLE}=0 a job shares that one",
                file=sys.stderr,
                flush=True,
            )
            said = True
        time.sleep(POLL_S)
    return None


def _of_driver() -> list[str]:
    """Return the UUIDs of the GPUs, as `nvidia-smi -L` or else the driver's files list them."""
    with suppress(OSError, subprocess.TimeoutExpired):
        ran = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=COMMAND_S
        )
        if ran.returncode == 0:
            return _usable(UUID.findall(ran.stdout))
    with suppress(OSError):
        files = sorted(DRIVER.glob("*/information"))
        return [found[0] for file in files if (found := UUID.search(file.read_text("utf-8")))]
    return []


def _usable(names: list[str]) -> list[str]:
    """Drop each GPU whose parts (MIG) follow it."""
    followed = zip(names, [*names[1:], ""], strict=True)
    return [
        name for name, after in followed if name.startswith("MIG") or not after.startswith("MIG")
    ]


def _locks(names: list[str]) -> dict[str, Path]:
    """Return the file of each GPU's lock, by its name.

    It is called by the UUID: two jobs of a batch system may each see another GPU as number 0.
    """
    known = _of_driver()
    keys = {}
    for name in names:
        of_number = known[int(name) : int(name) + 1] if name.isdigit() else []
        key = next(iter(of_number or [uuid for uuid in known if uuid.startswith(name)]), name)
        keys[name] = Path(tempfile.gettempdir()) / f"arkd-gpu-{key.replace('/', '_')}.lock"
    return keys


def _lock(name: str, path: Path) -> bool:
    """Take a GPU's lock if it is free.

    Its file belongs to all users of the machine, since they share the GPUs, and stays.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW
    try:
        try:
            file = os.open(path, flags)  # without O_CREAT: systems refuse that of others' files
        except FileNotFoundError:
            file = os.open(path, flags | os.O_CREAT, 0o644)
            os.fchmod(file, 0o644)
    except OSError as error:
        raise ArkdError(
            f"{path}: the lock of a GPU cannot be opened ({error.strerror}); remove the file, or "
            f"set {VISIBLE}"
        ) from error
    if try_lock(file) is False:
        os.close(file)
        return False
    _taken[name] = file
    return True
