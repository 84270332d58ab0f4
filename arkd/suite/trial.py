"""What is computed in a process of its own, which may hang, end or crash without harm to ours.

Only listings need it: they import files of other people that nobody has asked to run. What such a
process sends is read as JSON: nothing that it says is run here.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from arkd.storage.files import parse_json

FORK = multiprocessing.get_context("fork")  # nothing is imported anew


class Outcome(NamedTuple):
    """What came of one call: its value, or why there is none."""

    value: Any = None
    failure: str = ""


def each(
    function: Callable[[str], Any], names: Sequence[str], limit_s: float
) -> Iterator[tuple[str, Outcome]]:
    """Yield what a function returns for each name, computed in one child that is replaced if lost.

    Args:
        function: Returns what JSON can hold; raises nothing.
        names: Its arguments.
        limit_s: Seconds for each.
    """
    left = list(names)
    while left:
        results, sends = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_send, args=(function, left, sends))
        child.start()
        sends.close()
        try:
            alive = True
            while left and alive:
                outcome, alive = _receive(child, results, limit_s)
                yield left.pop(0), outcome
        finally:
            results.close()
            _end(child)


def _send(function: Callable[[str], Any], names: Sequence[str], results: Any) -> None:
    """Send the value for each name; run in the child."""
    os.setsid()  # what it starts in its turn ends with it
    for name in names:
        results.send_bytes(json.dumps(function(name), default=str).encode())


def _receive(child: Any, results: Any, limit_s: float) -> tuple[Outcome, bool]:
    """Return the child's next value, and whether it can be asked for another."""
    if not results.poll(limit_s):
        return Outcome(failure=f"not done after {limit_s:g} s"), False
    try:
        return Outcome(parse_json(results.recv_bytes().decode())), True
    except EOFError:
        child.join()
        code = child.exitcode
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Outcome(failure=f"it ended the process {how}"), False


def _end(child: Any) -> None:
    """Make sure that the child, and what it started, is gone."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone, or not yet a group of its own
        child.kill()
    child.join()
