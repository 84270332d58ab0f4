"""SIGTERM while a training runs: batch systems send it before they end a job."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TERMINATED = 128 + signal.SIGTERM  # what a shell calls the end by it


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether SIGTERM came, which does nothing else meanwhile."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # no other hears signals
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
