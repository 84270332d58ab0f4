"""The table of the public tasks: what lm-eval's own tasks say of each row."""

from __future__ import annotations

from collections.abc import Sequence

from arkd.data.bands import BANDS
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder, Source
from arkd.tables.table import Table

# The metric of each task that its field quotes; PopQA's bands by the log-likelihood, since small
# models are near the floor of its accuracy.
COLUMNS = (
    Source("lambada_openai", "acc", "LAMBADA", 3),
    Source("lambada_openai", "perplexity", "LAMBADA, perplexity", 1),
    Source("hellaswag", "acc_norm", "HellaSwag", 3),
    Source("arc_easy", "acc", "ARC-easy", 3),
    Source("piqa", "acc", "PIQA", 3),
    Source("winogrande", "acc", "WinoGrande", 3),
    Source("popqa", "acc", "PopQA", 3),
    *(Source("popqa", "logprob_nats", f"PopQA, {band} (nats)", 2, band) for band in BANDS),
)


def columns(suite: Suite) -> list[Source]:
    """Return the columns of the public tasks that a suite asks."""
    return [column for column in COLUMNS if column.task in suite.public_tasks]


def public(make: Builder, order: Sequence[str]) -> list[Table]:
    """Lay out a column for each public task; a band of PopQA that has no items is left out."""
    bands = make.records.groups("popqa", "logprob_nats")
    sources = [c for c in columns(make.suite) if not c.group or c.group in bands]
    return [make.table("public", {"": sources}, order)] if sources else []
