"""The table of decoders: the same students, decoded otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from arkd.tables.builder import Builder, Source, short_name
from arkd.tables.table import Table


def decoding(make: Builder, order: Sequence[str]) -> list[Table]:
    """Lay out ROUGE-L on each test set under the suite's own decoder and each variant of it."""
    variants = [change.label for change in make.suite.decoding.variants]
    sections = {
        short_name(make.suite, task): [
            Source(task, "rouge_l", label or "as in the other tables", group=label)
            for label in ("", *variants)
        ]
        for task in make.scored
    }
    return [make.table("decoding", sections, order)] if variants else []
