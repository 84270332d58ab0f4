"""In distribution: ROUGE-L, and BERTScore where it is measured, of each pair."""

from __future__ import annotations

from dataclasses import replace

from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import quality_sources
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
    titles = {make.suite.rouge: "ROUGE-L", f"bertscore_{make.suite.bertscore}": "BERTScore"}
    sources = [
        replace(source, pair=pair, title=" ".join((*make.lead(pair), titles[source.metric])))
        for pair in make.pairs
        for source in quality_sources(make, make.suite.test_sets[:1])
    ]
    return make.table({"": sources}, make.all_rows, paper=True)


TABLE = TableKind(
    section="Quality",
    place=1,
    title="In-distribution quality",
    caption="""
        ROUGE-L (F1 × 100, stemmed, best reference) of sampled answers on {test_set}, suite {name}
        {version}. Mean over {observations} ({seeds}) ± half the width of the 95 % t interval;
        decoding seeds ({decodings}) are averaged within a training seed.
    """,
    build=build,
)
