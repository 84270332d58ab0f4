"""`SHA256SUMS`: one hash for every file of a folder, in the form that `sha256sum -c` reads.

A manifest is vouched for by the one that was made from it, and the last ones by nobody. This file
is the anchor: it names them all, and being short it can be tracked, signed or sent apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage import received
from arkd.storage.files import sha256_file, write_text

NAME = "SHA256SUMS"
LOGS = "logs"  # of the workflow: they change with every call of it and hold no result
LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\r]+)")
UNSAYABLE = re.compile(r"[\n\r\\\ud800-\udfff]")  # bytes that are no UTF-8 are read as surrogates


def files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder in order, but for logs, hidden files and the sums."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and parts[0] != LOGS and parts != (NAME,):
            yield path


def write(folder: Path, sha256: Callable[[Path], str] = sha256_file) -> Path:
    """Write the sums of a folder into it and return their file.

    Args:
        folder: A suite's folder.
        sha256: Returns the hash of a file; a caller that knows some need not hash twice.

    Raises:
        ArkdError: the format cannot say a file's name: it has a line break or a backslash, or is
            no UTF-8.
    """
    lines = []
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        if UNSAYABLE.search(name):
            raise ArkdError(f"{path}: rename it: {NAME} has no room for such a name")
        lines.append(f"{sha256(path)}  {name}\n")
    write_text(folder / NAME, "".join(lines))
    return folder / NAME


def read(folder: Path) -> dict[str, str]:
    """Return the hashes by path relative to the folder.

    Raises:
        ArkdError: a line is not a hash and a path inside the folder, or a path stands twice.
    """
    path = folder / NAME
    found: dict[str, str] = {}
    text = path.read_bytes().decode("utf-8", errors="replace")
    *lines, rest = text.split("\n")  # other breaks stand in names
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        match = LINE.fullmatch(line)
        name = match[2] if match else ""
        if not match or not received.inside(name) or name in found:
            raise ArkdError(
                f"{path}: line {number} is not one hash and one path of this folder; restore the "
                "file, or write it anew with `arkd verify --write` if you trust the folder"
            )
        found[name] = match[1]
    return found
