"""A limit of time for what may hang, such as the import of a file that somebody else wrote."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Late(BaseException):
    """It was not done in time; no Exception, which the code that hangs may well catch."""


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Interrupt a block that takes longer, wherever it waits or computes in Python.

    Signals reach the main thread alone, and a process has one such timer: in another thread, or
    where a timer runs already, there is no limit.

    Args:
        limit_s: Seconds of wall time.

    Raises:
        Late: the block was not done.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def interrupt(*_: Any) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
