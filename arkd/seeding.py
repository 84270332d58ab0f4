"""Seeds derived from named axes: every random draw of the benchmark starts here."""

from __future__ import annotations

import hashlib


def derive_seed(*axes: str | int) -> int:
    """Return a 63-bit seed that depends on the named axes alone.

    The axes say what is drawn and for whom, for example ``derive_seed("order", 3)`` for the data
    order of training seed 3. An axis that is left out is shared: the data order leaves out the
    method, so that all methods of a seed see the same batches.
    """
    text = "\x1f".join(f"{type(axis).__name__}:{axis}" for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
