"""Seeds depend on their axes, all of them and nothing else."""

from __future__ import annotations

import hashlib

from arkd.seeding import derive_seed


def test_the_seed_is_the_first_63_bits_of_a_hash_of_the_axes() -> None:
    digest = hashlib.sha256(b"str:order\x1fint:3").digest()
    assert derive_seed("order", 3) == int.from_bytes(digest[:8], "big") >> 1


def test_axes_do_not_run_into_each_other() -> None:
    seeds = [derive_seed("a", "bc"), derive_seed("ab", "c"), derive_seed("a", 1)]
    assert len({*seeds, derive_seed("a", "1"), derive_seed("a", 1, "")}) == 5


def test_a_seed_fits_every_generator() -> None:
    assert all(0 <= derive_seed("x", i) < 2**63 for i in range(1000))
