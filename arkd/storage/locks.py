"""Locks that die with the process that holds them: of a stage's folder, and of a workflow's."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from arkd.errors import ArkdError

# What a file system without locks says; there two processes are not kept apart.
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_held: list[IO[str]] = []  # until the process ends


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Keep other processes from making the folder at `path` meanwhile.

    Raises:
        ArkdError: another process is making it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.lock")
    with beside.open("a", encoding="utf-8") as lock:
        # Who held it before removes the file: a lock on what is no longer there keeps nobody out.
        if not _lock(lock, fcntl.LOCK_EX) or not _is_still(beside, lock):
            raise ArkdError(
                f"{path}: another process is making it at this moment; wait until it ends, or give "
                "other --results"
            )
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)


def unlock_dead_runs(folder: Path) -> bool:
    """Remove Snakemake's locks if every run that left some is dead, and mark this one as alive.

    Snakemake's locks are files that outlive a killed run. Each run of this workflow shares a lock
    that the system takes away with the process: whoever can have it alone is the only one left.

    Args:
        folder: `.snakemake` of the working folder.

    Returns:
        Whether locks of dead runs were removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "arkd.lock").open("a", encoding="utf-8")
    _held.append(lock)
    removed = False
    if _lock(lock, fcntl.LOCK_EX, without=False):
        for left in sorted((folder / "locks").glob("*.lock")):
            left.unlink(missing_ok=True)
            removed = True
    _lock(lock, fcntl.LOCK_SH)
    return removed


def _is_still(path: Path, file: IO[str]) -> bool:
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _lock(file: IO[str], kind: int, without: bool = True) -> bool:
    """Take a lock if it is free, and tell whether it was; `without` where there are no locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return without
    return True
