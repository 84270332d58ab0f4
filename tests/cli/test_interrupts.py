"""Ctrl-C is heard even where Python itself loses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import PATIENCE_S, heed_interrupts

from arkd.cli.interrupts import heard

# The interrupt falls into the callback of a weak reference, where Python prints and forgets it.
LOST = """
import contextlib, os, signal, time, weakref
from arkd.cli.interrupts import heard

class Thing: pass

with {around}:
    try:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
        del thing
        time.sleep(3)
        print("went on")
    except KeyboardInterrupt:
        print("heard")
"""


@pytest.mark.parametrize(
    ("around", "said"),
    [("contextlib.nullcontext()", "went on"), ("heard(again_s=0.2)", "heard")],
)
def test_an_interrupt_that_python_loses_comes_again(around: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOST.format(around=around)],
        preexec_fn=heed_interrupts,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.strip() == said
    assert "Exception ignored" in done.stderr


def interrupt_and_wait() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)


def test_an_interrupt_that_is_heard_does_not_come_again() -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), heard(again_s=1):
            interrupt_and_wait()
        time.sleep(1.2)  # a second one would end this test
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGALRM) == handlers[1]
    finally:
        signal.signal(signal.SIGINT, handlers[0])


def fail_when_interrupted() -> None:
    try:
        interrupt_and_wait()
    except KeyboardInterrupt:
        raise ValueError("what C code makes of it") from None


def test_an_error_in_the_place_of_an_interrupt_is_one() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), heard():
            fail_when_interrupted()
        with pytest.raises(ValueError, match="of its own"), heard():
            raise ValueError("of its own")
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_ignores_interrupts_keeps_ignoring_them() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heard():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
