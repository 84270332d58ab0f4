"""What the command line writes to: terminals and pipes that may lack a character, or a reader."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


def show_what_can_be() -> None:
    """Let what the output's encoding lacks be shown as '?'; errors are escaped by Python itself."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def drop() -> None:
    """Let what is still to be printed go nowhere: it would fail once more as Python ends."""
    with suppress(OSError, ValueError):  # where the output is no file of the system's
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
