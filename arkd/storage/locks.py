"""Locks that die with the process that holds them: of a stage's folder, and of a suite's."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from arkd.errors import ArkdError

# What a file system without locks says, or one that locks no folders (NFS); there two processes
# are not kept apart.
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)

_held: dict[Path, int] = {}  # suites' folders, until the process ends


@contextmanager
def sole_writer(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from making the folder at `path` meanwhile.

    Args:
        path: Where the folder will stand.
        wait: Wait until another process that is making it has ended.

    Raises:
        ArkdError: another process is making it, and this one is not to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.lock")
    while True:
        with beside.open("a", encoding="utf-8") as lock:
            # Who held it before removes the file: a lock on what is gone keeps nobody out.
            if try_lock(lock, wait=wait) is not False and _is_still(beside, lock):
                try:
                    yield
                finally:
                    beside.unlink(missing_ok=True)
                return
        if not wait:
            raise ArkdError(
                f"{path}: another process is making it at this moment; wait until it ends, or give "
                "other --results"
            )


def hold_suite(root: Path, snakemake: Path) -> None:
    """Keep other runs out of a suite's results until this process ends, however it ends.

    The folder itself is locked, so a killed run leaves nothing behind of it. Snakemake's own locks
    are files that outlive a killed run: those on files of a suite that nobody holds are removed.

    Args:
        root: The suite's folder.
        snakemake: `.snakemake` of the working folder.

    Raises:
        ArkdError: another run has the suite.
    """
    root = root.absolute()
    if root in _held:
        return
    root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY)
    taken = try_lock(folder)
    if taken is False:
        os.close(folder)
        raise ArkdError(
            f"{root}: another run is making these results at this moment; wait until it ends, or "
            "give other results"
        )
    _held[root] = folder
    for left in sorted((snakemake / "locks").glob("*.lock")) if taken else ():
        with suppress(FileNotFoundError):  # another run has ended, and its lock with it
            locked = left.read_text(encoding="utf-8").split("\n")
            if any((snakemake.absolute().parent / path).is_relative_to(root) for path in locked):
                left.unlink()


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def try_lock(file: IO[str] | int, *, wait: bool = False) -> bool | None:
    """Take a lock if it is free, and tell whether it was; None where there are no locks.

    Args:
        file: What is locked.
        wait: Take it as soon as it is free.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return None
    return True
