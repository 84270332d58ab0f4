"""How many rows run at once where a suite leaves that to the machine: by memory, and on a CPU."""

from __future__ import annotations

ON_CPU = 64  # rows at once
MOST = 1024  # beyond them a product gains nothing
USABLE = 0.8  # of what is free; the rest is lost between tensors


def fitting(free: float, row_bytes: int) -> int:
    """Return how many rows, a power of two, have room in so many free bytes; one at least."""
    rows = min(MOST, max(1, int(USABLE * free) // max(1, row_bytes)))
    return 1 << (rows.bit_length() - 1)
