"""What is computed in a process of its own, which may hang, end or crash without harm to ours.

Only listings need it: they import files of other people that nobody has asked to run.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What came of one call: its value, or why there is none."""

    value: Any = None
    failure: str = ""


def each(
    function: Callable[[str], Any], names: Sequence[str], limit_s: float
) -> Iterator[tuple[str, Outcome]]:
    """Yield what a function returns for each name, computed in one child that is replaced if lost.

    Args:
        function: Returns what can be pickled; raises nothing.
        names: Its arguments.
        limit_s: Seconds for each.
    """
    left = list(names)
    while left:
        child, pipe = _start(function, left)
        try:
            while left:
                outcome, alive = _receive(child, pipe, limit_s)
                yield left.pop(0), outcome
                if not alive:
                    break
        finally:
            os.close(pipe)
            _end(child)


def _start(function: Callable[[str], Any], names: Sequence[str]) -> tuple[int, int]:
    """Fork a child that sends a value for each name; return it and what to read from."""
    receive, send = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(send)
        return child, receive
    code = 1
    try:
        os.close(receive)
        os.setsid()  # what it starts in its turn ends with it
        for name in names:
            sent = pickle.dumps(function(name))
            with os.fdopen(os.dup(send), "wb") as stream:
                stream.write(len(sent).to_bytes(8, "little") + sent)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # no exit handlers, which are the parent's


def _receive(child: int, pipe: int, limit_s: float) -> tuple[Outcome, bool]:
    """Return the child's next value, and whether it can be asked for another."""
    deadline = time.monotonic() + limit_s
    head = _read(pipe, 8, deadline)
    if head is not None and len(head) == 8:
        body = _read(pipe, int.from_bytes(head, "little"), deadline)
        if body is not None:
            return Outcome(pickle.loads(body)), True
    if head is None:
        return Outcome(failure=f"not done after {limit_s:g} s"), False
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return Outcome(failure=f"it ended the process {how}"), False


def _read(pipe: int, size: int, deadline: float) -> bytes | None:
    """Return so many bytes, fewer if the child has ended; none when the time is over."""
    found = b""
    while len(found) < size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        part = os.read(pipe, size - len(found))
        if not part:
            break
        found += part
    return found


def _end(child: int) -> None:
    """Make sure that the child, and what it started, is gone."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    try:
        os.waitpid(child, 0)
    except ChildProcessError:  # whose end was waited for
        return
