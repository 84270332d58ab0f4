"""A progress bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import track

from arkd import processes


def progress(steps: Any, label: str) -> Any:
    """Wrap an iterable in a progress bar on a terminal; elsewhere, or unnamed, it stays silent."""
    console = Console(stderr=True)
    silent = not label or not sys.stderr.isatty() or processes.number() > 0
    return track(steps, label, console=console, disable=silent)
