"""Commands that the command line recommends, as a shell takes them."""

from __future__ import annotations

import shlex
from pathlib import Path

from arkd.cli.parser import RESULTS


def command(name: str, suite: str, results: str | Path) -> str:
    """Return a command on the same suite and folder of results as the one that recommends it.

    Args:
        name: Of the command, such as `run`.
        suite: As it was named: a suite's name or its file.
        results: The folder of all results, which is left out where it is the default.
    """
    elsewhere = [] if str(results) == RESULTS["default"] else ["--results", str(results)]
    return shlex.join(["arkd", name, suite, *elsewhere])
