"""Ctrl-C that is heard, wherever it falls."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_S = 5.0  # longer than it takes to clear away what a stage has half written


@contextmanager
def heard(again_s: float = AGAIN_S) -> Iterator[None]:
    """Raise `KeyboardInterrupt` on Ctrl-C, and once more every few seconds until it gets here.

    Python runs the callbacks of weak references in the midst of whatever it does. An interrupt that
    falls into one of them is printed as ignored and lost, which happens about once in a hundred
    times while a library is imported, and the stage would go on as if nothing had been said. Code
    in C may put an error of its own in its place: what fails after an interrupt was interrupted.

    A process that was told to ignore Ctrl-C, such as one in the background, keeps ignoring it.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, whatever error came in its place.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return

    came = threading.Event()

    def interrupt(*_: Any) -> None:
        came.set()
        signal.setitimer(signal.ITIMER_REAL, again_s)
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGALRM)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    except Exception as error:
        if came.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
