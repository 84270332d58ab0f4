"""Marks around the names of tokens that a chat template wrote, by which they differ from text."""

from __future__ import annotations

import re

MARKS = ("\ufdd0", "\ufdd1")  # no characters, by Unicode's own rule: no text has them
MARKED = re.compile("{}(.*?){}".format(*MARKS), re.S)


def mark(name: str) -> str:
    """Return a token's name as it stands in a prompt that a chat template wrote."""
    return name.join(MARKS)
