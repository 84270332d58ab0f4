"""Hashes of large files, remembered by their size and times: read once, and after each change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.files import read_json, sha256_file, write_json

NAME = ".arkd-seen.json"
LARGE_BYTES = 64 * 2**20  # smaller files are hashed each time


def sha256(path: Path, memory: Path, name: str) -> str:
    """Return a file's SHA-256.

    Args:
        path: The file.
        memory: A folder that remembers; nothing is remembered where it does not exist yet, or may
            not be written to.
        name: Of the file in it.
    """
    state = path.stat()
    if state.st_size < LARGE_BYTES:
        return sha256_file(path)
    # The time of the inode as well, which whoever copies a file with its dates cannot set.
    known = [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    seen = _remembered(memory / NAME)
    found = seen.get(name)
    if isinstance(found, list) and found[:-1] == known:
        return str(found[-1])
    sha = sha256_file(path)
    if os.access(memory, os.W_OK | os.X_OK):
        write_json(memory / NAME, seen | {name: [*known, sha]})
    return sha


def _remembered(path: Path) -> dict[str, Any]:
    """Return what is remembered; nothing where it cannot be read, which costs time."""
    try:
        return read_json(path) if path.is_file() else {}
    except ArkdError:
        return {}
