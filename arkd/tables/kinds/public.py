"""What lm-eval's own tasks say of each row; a band of PopQA that has no items is left out."""

from __future__ import annotations

from arkd.data.bands import BANDS
from arkd.suite.suite import Suite
from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout

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


def build(make: Builder) -> Layout | None:
    bands = make.records.groups("popqa", "logprob_nats")
    sources = [c for c in columns(make.suite) if not c.group or c.group in bands]
    return make.table({"": sources}, make.all_rows) if sources else None


def columns(suite: Suite) -> list[Source]:
    """Return the columns of the public tasks that a suite asks."""
    return [column for column in COLUMNS if column.task in suite.public_tasks]


TABLE = TableKind(
    section="Further tables",
    place=1,
    title="Public benchmarks",
    caption="""
        lm-evaluation-harness's own tasks on public data, zero-shot, suite {name} {version}:
        accuracy (HellaSwag: by log-likelihood per character; LAMBADA and PopQA: greedy decoding
        begins with the answer), and LAMBADA's perplexity per word. PopQA in nats: the
        log-likelihood of the answer's likeliest spelling, by monthly views of the subject's page:
        head from 10,000 on, torso from 100, tail below. Mean over {observations} ({seeds}) ± half
        the width of the 95 % t interval.
    """,
    build=build,
)
