"""Errors that a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArkdError(Exception):
    """An error whose message is one line that names the place, the cause and the remedy."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name nearest to `name`, or ``""``."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""
