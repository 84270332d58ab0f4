"""Errors that a user can act on."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable

LONGEST = 4_000  # characters of a message
BREAKS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
# Control characters, those that turn the direction of text, and halves of characters.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ArkdError(Exception):
    """An error whose message is one line that names the place, the cause and the remedy.

    It may cite what a file holds: whatever that is, the message stays a line that can be printed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return what may cite a file as one line that no terminal and no build takes as a command."""
    line = UNPRINTABLE.sub(lambda c: repr(c[0])[1:-1], BREAKS.sub(" ", text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name nearest to `name`, or ``""``."""
    if len(name) > 100:  # no name, and the search would take long
        return ""
    import difflib  # of errors alone: every command imports this module

    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{match[0]}'?)" if match else ""


def out_of_memory(error: BaseException) -> str | None:
    """Return what has too little memory by an error, "the machine" or "the GPU", or none.

    PyTorch has one class for the GPU's own allocations; of libraries and of the CPU it tells in
    words alone.
    """
    torch = sys.modules.get("torch")
    if torch and isinstance(error, torch.OutOfMemoryError):
        return "the GPU"
    if isinstance(error, MemoryError):
        return "the machine"
    if isinstance(error, RuntimeError):
        text = str(error)
        if "CUDA error: out of memory" in text or "_STATUS_ALLOC_FAILED" in text:
            return "the GPU"
        if "DefaultCPUAllocator" in text:
            return "the machine"
    return None


NO_ROOM = {  # how the system refuses to store any more
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "larger than a file may be here (`ulimit -f`, or the file system)",
}


def no_room(error: BaseException | str) -> str | None:
    """Return why the disk takes no more by an error or what a program has said of it, or none.

    A library may report it as an error of its own, with the system's text inside.
    """
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    return next((n for c, n in NO_ROOM.items() if number == c or os.strerror(c) in text), None)
