"""Which of several processes that train together this one is, without torch."""

from __future__ import annotations

import os

RUN = "arkd-training"  # the name of a run of torch's launcher, by which processes know each other


def together() -> bool:
    """Tell whether this process is one of several that were started together."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == RUN


def number() -> int:
    """Return which of them it is, from 0: the first one writes for all."""
    return int(os.environ["RANK"]) if together() else 0
